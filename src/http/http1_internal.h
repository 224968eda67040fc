/* What the files of HTTP/1.1 share: the states of the two directions, and the character classes of RFC 9110. */
#ifndef TRI_HTTP_HTTP1_INTERNAL_H
#define TRI_HTTP_HTTP1_INTERNAL_H

#include "base/buf.h"
#include "http/http1.h"
#include "http/http1_reader.h"

/* Where the request stands. The chunk states follow each other in this order. */
enum tri_http1_in {
    TRI_IN_START,    /* no byte of a request, save for one empty line before it */
    TRI_IN_START_LF, /* the CR of that line */
    TRI_IN_HEAD,
    TRI_IN_BODY,        /* `remaining` bytes */
    TRI_IN_CHUNK_START, /* the first digit of a size */
    TRI_IN_CHUNK_SIZE,  /* further digits; `remaining` is the size so far */
    TRI_IN_CHUNK_EXT,
    TRI_IN_CHUNK_SIZE_LF,
    TRI_IN_CHUNK_DATA, /* `remaining` bytes of this chunk */
    TRI_IN_CHUNK_DATA_CR,
    TRI_IN_CHUNK_DATA_LF,
    TRI_IN_TRAILER_START, /* `remaining` bytes of trailers are still allowed, here and below */
    TRI_IN_TRAILER_NAME,
    TRI_IN_TRAILER_VALUE,
    TRI_IN_TRAILER_LF,
    TRI_IN_LAST_LF,
    TRI_IN_DONE, /* the request is complete, its answer is not */
    TRI_IN_REJECTED,
    TRI_IN_CLOSED, /* the last answer is complete: nothing more is read */
    TRI_IN_TUNNEL, /* another protocol's bytes */
};

/* Where the answer stands. */
enum tri_http1_out {
    TRI_OUT_NONE,
    TRI_OUT_HELD,   /* its head is in the chain, but for the framing */
    TRI_OUT_LENGTH, /* `promised` bytes are to follow */
    TRI_OUT_CHUNKED,
    TRI_OUT_CLOSE,   /* its end is the connection's */
    TRI_OUT_NO_BODY, /* HEAD, 204, 304 */
    TRI_OUT_DONE,    /* complete, its request is not */
};

/* Events that wait for next_event; when several do, they are given in this order. */
enum tri_http1_pending { TRI_PENDING_HEAD = 1, TRI_PENDING_BODY = 2, TRI_PENDING_END = 4, TRI_PENDING_REJECT = 8 };

/* `flags`: what lasts longer than a request is below 8. */
enum tri_http1_flag {
    TRI_HTTP1_SHUTDOWN = 1, /* no further request is wanted */
    TRI_HTTP1_LINGER = 2,   /* the peer may still be sending when we close */
    TRI_HTTP1_LASTING = 3,
    TRI_HTTP1_EMPTY_LINE = 8,    /* the one that is allowed before a request has been seen */
    TRI_HTTP1_REQUEST_LINE = 16, /* has been parsed */
    TRI_HTTP1_MINOR_0 = 32,      /* the request is of HTTP/1.0 */
    TRI_HTTP1_HEAD_SEEN = 64,    /* the head is complete */
    TRI_HTTP1_CONTINUED = 128,   /* 100 Continue was sent */
};

/* `seen`: which fields a head has shown so far. */
enum tri_http1_seen {
    TRI_SEEN_HOST = 1,
    TRI_SEEN_LENGTH = 2,
    TRI_SEEN_CHUNKED = 4,
    TRI_SEEN_CLOSE = 8,
    TRI_SEEN_KEEP_ALIVE = 16,
    TRI_SEEN_UPGRADE_OPTION = 32,
    TRI_SEEN_UPGRADE = 64,
    TRI_SEEN_CONTINUE = 128,
    TRI_SEEN_EXPECTATION = 256, /* one that we do not know */
};

/* `answer`: what the application has asked for. */
enum tri_http1_answer {
    TRI_ANSWER_CLOSE = 1,
    TRI_ANSWER_LENGTH = 2,  /* Content-Length is among its fields */
    TRI_ANSWER_CLOSING = 4, /* "connection: close" has been said */
};

/* A head that came in pieces: its bytes and fields, copied. */
struct tri_http1_partial {
    tri_head head; /* its fields are allocated */
    tri_buf bytes;
};

/* http1.c */

/* Refuses the request: `reason` is static. Nothing after it is parsed. */
void tri_http1_reject(tri_http1 *self, int status, const char *reason);
/* The last byte of the request has been parsed. */
void tri_http1_request_done(tri_http1 *self);
/* Takes bytes of a body whose length is known; returns how many. */
size_t tri_http1_body_recv(tri_http1 *self, const char *bytes, size_t n);
/* Whether the peer was told to wait for 100 Continue and most likely still does. */
bool tri_http1_awaits_continue(const tri_http1 *self);

/* http1_head.c */

/* Lower case of a character that may stand in a token (RFC 9110 §5.6.2), 0 for any other. */
extern const unsigned char tri_http1_head_token[256];
/* Whether all bytes may stand in a field value: no controls but HTAB. */
bool tri_http1_head_value_ok(const char *p, size_t n);
/* Whether `span` is `lower`, whatever its case. `lower` is a token in lower case. */
bool tri_http1_head_same(tri_span span, tri_span lower);
/* Takes the first element of a comma-separated list, without white space around it; false when there is none. */
bool tri_http1_head_next_option(tri_span *list, tri_span *option);
/* 1 to 18 digits and nothing else. */
bool tri_http1_head_length(tri_span digits, uint64_t *out);
/* Parses head bytes; returns how many were taken, or TRI_ENOMEM. */
TRI_NODISCARD ptrdiff_t tri_http1_head_recv(tri_http1 *self, char *bytes, size_t n);
/* Gives a head that came in pieces back. */
void tri_http1_head_drop(tri_http1 *self);

/* http1_target.c */

/* Splits head->target into path, query and host. NULL, or what is wrong with it. */
TRI_NODISCARD const char *tri_http1_target_parse(tri_head *head);

/* http1_chunk.c */

/* Parses bytes of a chunked body up to the next event; returns how many were taken. */
size_t tri_http1_chunk_recv(tri_http1 *self, const char *bytes, size_t n);

/* http1_answer.c: the submit_… operations. */
int tri_http1_answer_continue(tri_protocol *protocol, uint32_t stream);
int tri_http1_answer_head(tri_protocol *protocol, uint32_t stream, const tri_response *response);
int tri_http1_answer_body(tri_protocol *protocol, uint32_t stream, const tri_loan *loan, bool end);
int tri_http1_answer_rollback(tri_protocol *protocol, uint32_t stream);
int tri_http1_answer_upgrade(tri_protocol *protocol, uint32_t stream, const tri_response *response, tri_span name);

#endif
