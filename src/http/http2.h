/* HTTP/2 (RFC 9113), server side, sans-I/O, behind http/protocol.h. nghttp2 reads and writes the frames; what a request
   may look like to an application, and how much may wait, is decided here. */
#ifndef TRI_HTTP_HTTP2_H
#define TRI_HTTP_HTTP2_H

#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "http/protocol.h"

struct nghttp2_session;

/* What a client with prior knowledge sends first (RFC 9113 §3.4). */
#define TRI_HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* One connection's protocol state, embedded; it holds no memory before the first byte. */
typedef struct tri_http2 {
    tri_protocol protocol;
    /* private */
    const tri_mem *mem;
    const tri_limits *limits;
    tri_chain_pool *chains;
    struct nghttp2_session *session;
    tri_list streams;
    tri_chain out;
    tri_span body; /* of the pending BODY event */
    uint32_t body_stream;
    bool paused;  /* nghttp2 was, by bytes of a body */
    bool failed;  /* memory ran out, or the session is over: only closing is left */
    bool leaving; /* a GOAWAY was submitted */
} tri_http2;

/* The version of the library that is in the build; NULL where HTTP/2 is not built, and then nothing else may be
   called. */
const char *tri_http2_version(void);
/* Makes `self` ready for a new connection; no allocation. All is borrowed for its life. */
void tri_http2_init(tri_http2 *self, const tri_mem *mem, const tri_limits *limits, tri_chain_pool *chains);

#endif
