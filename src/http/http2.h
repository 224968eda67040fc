/* HTTP/2 (RFC 9113), server side, sans-I/O, behind http/protocol.h. nghttp2 reads and writes the frames; what a request
   may look like to an application, how much may wait, and how much a peer may ask for, is decided here. */
#ifndef TRI_HTTP_HTTP2_H
#define TRI_HTTP_HTTP2_H

#include "base/limits.h"
#include "base/mem.h"
#include "http/protocol.h"

struct nghttp2_session;
struct tri_http2_core;

/* What a client with prior knowledge sends first (RFC 9113 §3.4). */
#define TRI_HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* One connection's protocol state, embedded; it holds no memory before the first byte. */
typedef struct tri_http2 {
    tri_protocol protocol;
    /* private */
    const tri_mem *mem;
    const tri_limits *limits;
    tri_chain_pool *chains;
    const uint64_t *now;
    struct nghttp2_session *session; /* NULL before the first byte and after fini, as is `core` */
    struct tri_http2_core *core;
    tri_chain out;
    unsigned flags; /* enum tri_http2_flag */
} tri_http2;

/* The version of the library that is in the build; NULL where HTTP/2 is not built, and then nothing else may be
   called. */
const char *tri_http2_version(void);
/* Makes `self` ready for a new connection; no allocation. All is borrowed for its life; `now` points to the time in
   milliseconds, on any clock that does not go back, which the caller keeps up to date. */
void tri_http2_init(tri_http2 *self, const tri_mem *mem, const tri_limits *limits, tri_chain_pool *chains,
                    const uint64_t *now);

#endif
