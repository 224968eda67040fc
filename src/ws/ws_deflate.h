/* permessage-deflate (RFC 7692) with zlib. What zlib needs to go on with a stream is large, so a worker keeps only so
   many: those least recently used are given up. A compressor that was given up begins afresh, which it always may; of a
   decompressor the bytes of its window are kept, which is all that it has learnt. */
#ifndef TRI_WS_WS_DEFLATE_H
#define TRI_WS_WS_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/span.h"
#include "ws/ws_message.h"

/* What we would agree to, and how we compress. */
typedef struct tri_ws_deflate_options {
    bool enabled;
    bool no_context;        /* our messages are compressed each by itself */
    bool client_no_context; /* the client is asked for the same */
    uint8_t window_bits;    /* of our window, and where the client lets us choose, of its: 9 to 15 */
    uint8_t level;          /* zlib's, 1 to 9 */
    uint8_t mem_level;      /* zlib's, 1 to 9 */
    uint32_t min_size;      /* bytes; shorter messages are sent as they are */
    uint32_t streams;       /* zlib streams that a worker keeps at most, beside those in the midst of a message */
} tri_ws_deflate_options;

/* What both sides have agreed on. */
typedef struct tri_ws_deflate_params {
    bool agreed;
    bool send_no_context;
    bool recv_no_context;
    uint8_t send_bits; /* of the window of our messages, 9 to 15 */
    uint8_t recv_bits; /* of the peer's, 8 to 15 */
} tri_ws_deflate_params;

/* What the sockets of a worker share. */
typedef struct tri_ws_deflate_shared {
    const tri_mem *mem;
    const tri_ws_deflate_options *options;
    /* private */
    tri_list kept; /* streams, the least recently used first */
    unsigned n_kept;
    unsigned used; /* since the last trim */
    char *scratch; /* where messages are compressed to */
    size_t scratch_size;
    size_t scratch_most; /* bytes of it that were needed since the last trim */
} tri_ws_deflate_shared;

typedef struct tri_ws_stream tri_ws_stream;

/* One socket's compression, embedded. */
typedef struct tri_ws_deflate {
    tri_ws_deflate_shared *shared;
    tri_ws_deflate_params params;
    /* private */
    uint16_t window_n;
    uint8_t lasts; /* blocks that said they are the last, in the message under way */
    tri_ws_stream *sending;
    tri_ws_stream *receiving;
    char *window; /* what the decompressor that was given up had in its window */
} tri_ws_deflate;

/* `options` are borrowed for its life. No allocation. */
void tri_ws_deflate_shared_init(tri_ws_deflate_shared *shared, const tri_mem *mem,
                                const tri_ws_deflate_options *options);
/* Gives up what has not been used since the last call; returns whether there was any. Call it every now and then. */
bool tri_ws_deflate_shared_trim(tri_ws_deflate_shared *shared);
/* Whether there is anything that it may give up, now or later. */
static inline bool tri_ws_deflate_shared_has_spare(const tri_ws_deflate_shared *shared)
{
    return shared->n_kept > 0 || shared->scratch != NULL;
}
void tri_ws_deflate_shared_fini(tri_ws_deflate_shared *shared);

enum { TRI_WS_DEFLATE_ANSWER = 160 };
/* Reads the value of a Sec-WebSocket-Extensions field and agrees to the first offer that it can (RFC 7692 §7.1):
   writes the answer and returns its length; 0 when there is none. */
size_t tri_ws_deflate_negotiate(const tri_ws_deflate_options *options, tri_span offers, tri_ws_deflate_params *params,
                                char answer[TRI_WS_DEFLATE_ANSWER]);

/* `shared` is borrowed for its life. */
void tri_ws_deflate_init(tri_ws_deflate *self, tri_ws_deflate_shared *shared);
void tri_ws_deflate_fini(tri_ws_deflate *self);

/* Inflates bytes of a message and appends them to `*message`, up to `most` in all, which fits 32 bits; `end` is said
   with the last. TRI_ELIMIT: it would have more; TRI_EPROTO: they are not deflated data; TRI_ENOMEM. After an error
   only fini may follow. */
TRI_NODISCARD int tri_ws_deflate_inflate(tri_ws_deflate *self, tri_span bytes, bool end, tri_ws_message **message,
                                         size_t most);
/* Whether a message of `n` bytes is to be compressed. */
static inline bool tri_ws_deflate_wants(const tri_ws_deflate *self, size_t n)
{
    return self->params.agreed && n > 0 && n >= self->shared->options->min_size && n <= UINT32_MAX / 2;
}
/* Deflates a message; `*out` is valid until the next call for any socket of the worker. TRI_ENOMEM. */
TRI_NODISCARD int tri_ws_deflate_message(tri_ws_deflate *self, tri_span message, tri_span *out);
/* The same by itself, with a window of 2^bits bytes. */
TRI_NODISCARD int tri_ws_deflate_alone(tri_ws_deflate_shared *shared, unsigned bits, tri_span message, tri_span *out);
/* The peer was sent a message that our compressor does not know: it begins afresh. */
void tri_ws_deflate_forget(tri_ws_deflate *self);
/* The version of zlib that is linked, a static text. */
const char *tri_ws_deflate_zlib_version(void);

#endif
