/* UTF-8 in pieces: wrong at the first byte that cannot be part of it (RFC 3629 §4). */
#ifndef TRI_WS_WS_UTF8_H
#define TRI_WS_WS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a text stands. Zeroed, it is at its beginning. */
typedef struct tri_ws_utf8 {
    uint8_t missing; /* bytes of the character that is under way */
    uint8_t low;     /* the next byte's range, while some are missing */
    uint8_t high;
    bool beyond_ascii; /* a character of several bytes has begun */
} tri_ws_utf8;

/* Reads the next bytes; false at the first that is wrong: the state is of no more use then. */
bool tri_ws_utf8_go_on(tri_ws_utf8 *self, const char *bytes, size_t n);
/* Whether the text may end here. */
static inline bool tri_ws_utf8_complete(const tri_ws_utf8 *self)
{
    return self->missing == 0;
}

#endif
