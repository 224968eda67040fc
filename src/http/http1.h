/* HTTP/1.1 and 1.0 (RFC 9112), server side, sans-I/O, behind http/protocol.h. Strict: what a lenient reading could turn
   into two different messages is refused, and nothing after it is parsed. */
#ifndef TRI_HTTP_HTTP1_H
#define TRI_HTTP_HTTP1_H

#include "base/limits.h"
#include "base/mem.h"
#include "http/protocol.h"

/* What the connections of one worker share. */
typedef struct tri_http1_shared {
    const tri_mem *mem;
    const tri_limits *limits;
    tri_chain_pool *chains;
    /* private */
    tri_head scratch; /* the head that is being parsed, as long as all of it lies in the bytes handed to recv */
} tri_http1_shared;

/* Allocates the scratch head's fields for limits->fields. TRI_ENOMEM. `mem`, `limits` and `chains` are borrowed for its
   life. */
TRI_NODISCARD int tri_http1_shared_init(tri_http1_shared *shared, const tri_mem *mem, const tri_limits *limits,
                                        tri_chain_pool *chains);
void tri_http1_shared_fini(tri_http1_shared *shared);

typedef struct tri_http1_partial tri_http1_partial;

/* One connection's protocol state, embedded; at most 160 bytes (a test pins it); between exchanges it holds no
   memory. */
typedef struct tri_http1 {
    tri_protocol protocol;
    /* private; see http1_internal.h for the enums */
    tri_http1_shared *shared;
    tri_chain out;
    tri_chain_mark held;        /* where the held head begins */
    tri_http1_partial *partial; /* a head that came in pieces */
    tri_span body;              /* of the pending BODY event */
    const char *reason;         /* of the pending REJECT event */
    uint64_t remaining;         /* of the body, chunk or trailer section */
    uint64_t body_seen;         /* bytes of a chunked body, announced so far */
    uint64_t promised;          /* bytes that the answer's Content-Length still asks for */
    uint32_t held_n;            /* bytes of the held head */
    uint32_t line_at;           /* where the line that is being received begins in the head */
    uint32_t ext_seen;          /* bytes of chunk extensions */
    uint16_t flags;
    uint16_t seen;
    uint16_t head_flags;
    uint16_t status; /* of the answer */
    uint16_t reject; /* status of the pending REJECT event */
    uint8_t in_state;
    uint8_t out_state;
    uint8_t pending;
    uint8_t answer;
    uint8_t size_digits; /* of a chunk size */
} tri_http1;

/* Makes `self` ready for a new connection; no allocation. `shared` is borrowed for its life. */
void tri_http1_init(tri_http1 *self, tri_http1_shared *shared);

#endif
