/* A message that arrives: its bytes grow as they come, up to a maximum. */
#ifndef TRI_WS_WS_MESSAGE_H
#define TRI_WS_WS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"

typedef struct tri_ws_message {
    tri_list link;             /* for whoever queues it */
    size_t n;                  /* bytes that have come */
    size_t room;               /* bytes that it has memory for */
    bool text;                 /* UTF-8, validated; else binary */
    bool ascii;                /* of a text: it is known to be nothing else */
    _Alignas(16) char bytes[]; /* so that they can be read in words */
} tri_ws_message;

/* An empty message with memory for `room` bytes; NULL when there is none. Ends with tri_ws_message_free. */
TRI_NODISCARD tri_ws_message *tri_ws_message_new(const tri_mem *mem, size_t room);
/* Sees to memory for `more` bytes behind the last, growing in steps towards `most`, which is at least what it will
   hold. TRI_ENOMEM leaves it as it was. */
TRI_NODISCARD int tri_ws_message_reserve(tri_ws_message **message, const tri_mem *mem, size_t more, size_t most);
/* NULL is fine. */
void tri_ws_message_free(tri_ws_message *message, const tri_mem *mem);

#endif
