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

/* Whether a field is the handshake's own, so that an application's is not sent. */
static bool is_own_field(tri_span name)
{
    const tri_span own[] = { TRI_SPAN("sec-websocket-accept"), TRI_SPAN("sec-websocket-extensions"),
                             TRI_SPAN("sec-websocket-protocol") };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (tri_span_is_word(name, own[i]))
            return true;
    return false;
}

/* What the answer to a handshake is made of. */
typedef struct answer {
    tri_field_out *fields;
    size_t n;
    char accept[TRI_WS_HANDSHAKE_ACCEPT];
    char extensions[TRI_WS_ANSWER_MOST];
} answer;

/* Adds the fields that the handshake itself asks for. Those of the request are looked at once more. */
static int add_own_fields(tri_exchange *exchange, tri_ws_protocol *protocol, answer *to)
{
    const tri_head *head = exchange->head;
    ptrdiff_t agreed = 0;
    bool stream = (head->flags & TRI_HEAD_CONNECT) != 0; /* keys mean nothing there, and were not checked (RFC 8441) */
    for (uint32_t i = 0; i < head->n_fields; i++) {
        tri_span name = tri_head_span(head, head->fields[i].name);
        tri_span value = tri_head_span(head, head->fields[i].value);
        if (!stream && tri_span_eq(name, TRI_SPAN("sec-websocket-key"))) {
            tri_ws_handshake_accept(value, to->accept);
            to->fields[to->n++] =
                (tri_field_out){ TRI_SPAN("sec-websocket-accept"), { to->accept, sizeof to->accept } };
        } else if (agreed == 0 && tri_span_eq(name, TRI_SPAN("sec-websocket-extensions"))) {
            agreed = protocol->ops->negotiate(protocol, value, to->extensions);
            if (agreed < 0)
                return (int)agreed;
            if (exchange->conn == NULL || !tri_websocket_is_undecided(exchange))
                return TRI_ECLOSED; /* by its own code */
        }
    }
    if (agreed > 0)
        to->fields[to->n++] =
            (tri_field_out){ TRI_SPAN("sec-websocket-extensions"), { to->extensions, (size_t)agreed } };
    return 0;
}

enum { OWN_FIELDS = 3 };

int tri_websocket_submit(tri_exchange *exchange, tri_ws_protocol *protocol, const tri_field_out *fields, size_t n,
                         tri_span subprotocol)
{
    tri_conn *conn = exchange->conn;
    answer to = { 0 };
    size_t size = (n + OWN_FIELDS) * sizeof *to.fields;
    to.fields = tri_mem_alloc(exchange->mem, size);
    if (to.fields == NULL)
        return TRI_ENOMEM;
    int error = add_own_fields(exchange, protocol, &to);
    if (subprotocol.n > 0)
        to.fields[to.n++] = (tri_field_out){ TRI_SPAN("sec-websocket-protocol"), subprotocol };
    for (size_t i = 0; i < n; i++)
        if (!is_own_field(fields[i].name))
            to.fields[to.n++] = fields[i];
    tri_response response = { .fields = to.fields, .n_fields = to.n };
    tri_server_fill_response(exchange->server, &response);
    if (error == 0)
        error = conn->protocol->ops->submit_upgrade(conn->protocol, exchange->stream, &response, TRI_SPAN("websocket"));
    tri_mem_free(exchange->mem, to.fields, size);
    return error;
}
