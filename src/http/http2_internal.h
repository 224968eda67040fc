/* What the files of HTTP/2 share. */
#ifndef TRI_HTTP_HTTP2_INTERNAL_H
#define TRI_HTTP_HTTP2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "http/http2.h"

enum tri_http2_limit {
    TRI_HTTP2_STREAMS = 100,      /* open at once */
    TRI_HTTP2_WINDOW = 65535,     /* bytes of a body that nobody has taken */
    TRI_HTTP2_RECV = 4096,        /* bytes parsed at once, which bounds the events that wait */
    TRI_HTTP2_OUT_HIGH = 1 << 16, /* bytes of frames that wait in the chain; the rest waits in the streams */
};

enum tri_http2_mark {
    TRI_HTTP2_HEAD = 1,        /* a HEAD event is pending */
    TRI_HTTP2_END = 2,         /* an END event is pending */
    TRI_HTTP2_RESET = 4,       /* a RESET event is pending */
    TRI_HTTP2_KNOWN = 8,       /* its HEAD event was given */
    TRI_HTTP2_CLOSED = 16,     /* nghttp2 has forgotten it */
    TRI_HTTP2_STARTED = 32,    /* the head of its answer was submitted */
    TRI_HTTP2_COMPLETE = 64,   /* so was the end */
    TRI_HTTP2_TOO_LARGE = 128, /* its head is beyond a limit: 431 */
    TRI_HTTP2_NO_BODY = 256,   /* its answer has none: bytes are dropped */
    TRI_HTTP2_BODY = 512,      /* its request has one that is not complete */
    TRI_HTTP2_PROMISED = 1024, /* its answer has a content-length */
    TRI_HTTP2_DISMISS = 2048,  /* what is left of its request is not wanted once its answer is sent */
    TRI_HTTP2_ENDED = 4096,    /* the end of its answer was given to nghttp2 */
};

/* A request and its answer. */
typedef struct tri_http2_stream {
    tri_list link;
    uint32_t id;
    uint32_t marks;
    tri_buf bytes; /* of the head */
    tri_head head;
    tri_slice authority;
    tri_chain out; /* of the answer's body */
    uint64_t promised;
    uint64_t unread; /* bytes of the body that were given and not taken */
    void *user;      /* of its events */
} tri_http2_stream;

/* http2_head.c */

/* Takes one field of a request, pseudo-headers too: 0, TRI_ENOMEM, TRI_EPROTO when the request is malformed. */
TRI_NODISCARD int tri_http2_head_add(tri_http2 *self, tri_http2_stream *stream, tri_span name, tri_span value);
/* The head is complete: 0 or TRI_EPROTO. */
TRI_NODISCARD int tri_http2_head_end(tri_http2_stream *stream, bool body);
/* Gives its memory back. */
void tri_http2_head_drop(tri_http2 *self, tri_http2_stream *stream);

/* http2_session.c */

/* Makes the session and submits our SETTINGS. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_session_open(tri_http2 *self);
/* Moves frames that may be sent into the chain, up to a bound. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_session_pump(tri_http2 *self);
/* The stream with that number, or NULL. */
tri_http2_stream *tri_http2_session_find(tri_http2 *self, uint32_t id);
void tri_http2_session_forget(tri_http2 *self, tri_http2_stream *stream);
/* Where nghttp2 takes the bytes of an answer's body from. */
nghttp2_data_provider tri_http2_session_source(tri_http2_stream *stream);

/* http2_answer.c */

int tri_http2_answer_continue(tri_protocol *protocol, uint32_t stream);
int tri_http2_answer_head(tri_protocol *protocol, uint32_t stream, const tri_response *response);
int tri_http2_answer_body(tri_protocol *protocol, uint32_t stream, const tri_loan *loan, bool end);
int tri_http2_answer_rollback(tri_protocol *protocol, uint32_t stream);
int tri_http2_answer_reset(tri_protocol *protocol, uint32_t stream, enum tri_reset why);

#endif
