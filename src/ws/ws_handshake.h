/* The opening handshake, server side (RFC 6455 §4.2): what a request must bring, and what proves that it was read. */
#ifndef TRI_WS_WS_HANDSHAKE_H
#define TRI_WS_WS_HANDSHAKE_H

#include <stdbool.h>

#include "base/span.h"

/* The value of the Sec-WebSocket-Accept field. */
enum { TRI_WS_HANDSHAKE_ACCEPT = 28 };

/* The fields of a request, as they were given: how often, and the last value. */
typedef struct tri_ws_handshake {
    tri_span key; /* Sec-WebSocket-Key */
    unsigned keys;
    tri_span version; /* Sec-WebSocket-Version */
    unsigned versions;
} tri_ws_handshake;

/* Whether `list`, an Upgrade field's value, asks for a WebSocket. */
bool tri_ws_handshake_asks(tri_span list);
/* Notes the field `name` (in lower case) if the handshake is about it. */
void tri_ws_handshake_note(tri_ws_handshake *self, tri_span name, tri_span value);
/* 0 when the fields make a handshake of version 13, else the status to refuse it with (400, or 426: another version)
   and why in `*reason`, static. */
int tri_ws_handshake_check(const tri_ws_handshake *self, const char **reason);
/* The same, of what a stream that is asked for one must bring (RFC 8441 §5): the version alone. */
int tri_ws_handshake_check_version(const tri_ws_handshake *self, const char **reason);
/* Writes what proves that `key`, which is valid, was read. */
void tri_ws_handshake_accept(tri_span key, char accept[TRI_WS_HANDSHAKE_ACCEPT]);
/* Takes the first element of a comma-separated list, without white space around it, but not empty ones; false when
   there is none left. Commas within quotes do not separate. */
bool tri_ws_handshake_next(tri_span *list, tri_span *element);
/* The same for another separator, such as that of an element's parameters. */
bool tri_ws_handshake_split(tri_span *list, char separator, tri_span *element);

#endif
