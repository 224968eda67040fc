#include "ws/ws_handshake.h"

#include "ws/ws_sha1.h"

enum { KEY_TEXT = 24 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Where the first `separator` outside of quotes stands, or the end. */
static size_t find(tri_span text, char separator)
{
    bool quoted = false;
    for (size_t i = 0; i < text.n; i++) {
        if (quoted && text.p[i] == '\\')
            i++;
        else if (text.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && text.p[i] == separator)
            return i;
    }
    return text.n;
}

bool tri_ws_handshake_split(tri_span *list, char separator, tri_span *element)
{
    while (list->n > 0) {
        size_t n = find(*list, separator);
        *element = tri_span_trim((tri_span){ list->p, n });
        size_t used = n < list->n ? n + 1 : n;
        *list = (tri_span){ list->p + used, list->n - used };
        if (element->n > 0)
            return true;
    }
    return false;
}

bool tri_ws_handshake_next(tri_span *list, tri_span *element)
{
    return tri_ws_handshake_split(list, ',', element);
}

bool tri_ws_handshake_asks(tri_span list)
{
    tri_span element;
    while (tri_ws_handshake_next(&list, &element))
        if (tri_span_is_word(element, TRI_SPAN("websocket")))
            return true;
    return false;
}

void tri_ws_handshake_note(tri_ws_handshake *self, tri_span name, tri_span value)
{
    if (tri_span_eq(name, TRI_SPAN("sec-websocket-key"))) {
        self->key = value;
        self->keys++;
    } else if (tri_span_eq(name, TRI_SPAN("sec-websocket-version"))) {
        self->version = value;
        self->versions++;
    }
}

/* Whether it is base64 of 16 bytes. */
static bool is_key(tri_span key)
{
    if (key.n != KEY_TEXT || memcmp(key.p + 22, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < 22; i++)
        if (key.p[i] == '\0' || strchr(digits, key.p[i]) == NULL)
            return false;
    return true;
}

int tri_ws_handshake_check_version(const tri_ws_handshake *self, const char **reason)
{
    if (self->versions == 1 && tri_span_eq(self->version, TRI_SPAN("13")))
        return 0;
    *reason = "the WebSocket version is not 13";
    return self->versions == 1 ? 426 : 400;
}

int tri_ws_handshake_check(const tri_ws_handshake *self, const char **reason)
{
    int status = tri_ws_handshake_check_version(self, reason);
    if (status != 0)
        return status;
    *reason = "the WebSocket key is not one";
    return self->keys == 1 && is_key(self->key) ? 0 : 400;
}

void tri_ws_handshake_accept(tri_span key, char accept[TRI_WS_HANDSHAKE_ACCEPT])
{
    const tri_span guid = TRI_SPAN("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"); /* RFC 6455 §1.3 */
    char text[KEY_TEXT + 36];
    unsigned char digest[TRI_WS_SHA1_SIZE + 1];
    memcpy(text, key.p, KEY_TEXT);
    memcpy(text + KEY_TEXT, guid.p, guid.n);
    tri_ws_sha1_digest((tri_span){ text, sizeof text }, digest);
    digest[TRI_WS_SHA1_SIZE] = 0;
    for (size_t in = 0, out = 0; in <= TRI_WS_SHA1_SIZE - 2; in += 3, out += 4) {
        unsigned group = (unsigned)digest[in] << 16 | (unsigned)digest[in + 1] << 8 | digest[in + 2];
        for (unsigned i = 0; i < 4; i++)
            accept[out + i] = digits[group >> (18 - 6 * i) & 63];
    }
    accept[TRI_WS_HANDSHAKE_ACCEPT - 1] = '=';
}
