/* What of a request, and of its answer, makes a WebSocket. */
#include "server/websocket.h"

#include "ws/ws_handshake.h"

int tri_websocket_check(const tri_head *head, bool *asks, const char **reason)
{
    tri_ws_handshake fields = { 0 };
    bool stream = (head->flags & TRI_HEAD_CONNECT) != 0; /* which has said so in its head, and has no key */
    *asks = stream;
    for (uint32_t i = 0; i < head->n_fields; i++) {
        tri_span name = tri_head_span(head, head->fields[i].name);
        tri_span value = tri_head_span(head, head->fields[i].value);
        if (tri_span_eq(name, TRI_SPAN("upgrade")) && tri_ws_handshake_asks(value))
            *asks = true;
        tri_ws_handshake_note(&fields, name, value);
    }
    if (stream)
        return tri_ws_handshake_check_version(&fields, reason);
    if (!*asks || head->minor == 0)
        return 0;
    *reason = "a WebSocket is asked for with GET and without a body";
    if (!tri_span_eq(tri_head_span(head, head->method), TRI_SPAN("GET")) || (head->flags & TRI_HEAD_BODY))
        return 400;
    return tri_ws_handshake_check(&fields, reason);
}

bool tri_websocket_is_own_field(tri_span name)
{
    const tri_span own[] = { TRI_SPAN("sec-websocket-accept"), TRI_SPAN("sec-websocket-extensions"),
                             TRI_SPAN("sec-websocket-protocol") };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (tri_span_is_word(name, own[i]))
            return true;
    return false;
}
