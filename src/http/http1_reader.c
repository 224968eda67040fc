/* What a parser of another make has read becomes the events of HTTP/1.1. Heads go through the core's own parser, so
   that what two readings could take for different requests is refused by the stricter of them. */
#include "http/http1_reader.h"

#include "http/http1_internal.h"

enum { CHUNK_LINES = 1024 }; /* bytes of sizes and line ends that may come between two pieces of a body */

bool tri_http1_reader_tunnels(const tri_http1 *self)
{
    return self->in_state == TRI_IN_TUNNEL;
}

bool tri_http1_reader_wants(const tri_http1 *self)
{
    return self->pending == 0 && self->in_state < TRI_IN_DONE;
}

/* Whether a part of a head is within the limits; refuses it if not. */
static void check_head(tri_http1 *self)
{
    const tri_limits *limits = self->shared->limits;
    bool in_line = !(self->flags & TRI_HTTP1_REQUEST_LINE);
    if (in_line && limits->request_line <= limits->head && self->ext_seen > limits->request_line)
        tri_http1_reject(self, 414, "the request line is too long");
    else if (self->ext_seen > limits->head)
        tri_http1_reject(self, 431, "the head is too long");
}

void tri_http1_reader_give(tri_http1 *self, const char *bytes, size_t n)
{
    if (self->in_state <= TRI_IN_HEAD && memchr(bytes, '\n', n) != NULL)
        self->flags |= TRI_HTTP1_REQUEST_LINE;
}

void tri_http1_reader_quiet(tri_http1 *self, size_t n)
{
    const tri_limits *limits = self->shared->limits;
    if (!tri_http1_reader_wants(self))
        return;
    if (self->in_state == TRI_IN_START)
        self->ext_seen = 0;
    self->ext_seen += n > UINT32_MAX - self->ext_seen ? UINT32_MAX - self->ext_seen : (uint32_t)n;
    if (self->in_state > TRI_IN_HEAD) {
        if (self->ext_seen > (uint64_t)limits->chunk_ext + limits->trailers + CHUNK_LINES)
            tri_http1_reject(self, 400, "a body has too much between its data");
        return;
    }
    self->in_state = TRI_IN_HEAD;
    check_head(self);
}

int tri_http1_reader_head(tri_http1 *self, char *bytes, size_t n)
{
    if (self->in_state > TRI_IN_HEAD) {
        tri_http1_reject(self, 500, "the parser gave a head within a request");
        return TRI_OK;
    }
    self->in_state = TRI_IN_START;
    self->flags &= TRI_HTTP1_LASTING;
    ptrdiff_t took = tri_http1_head_recv(self, bytes, n);
    if (took < 0)
        return TRI_ENOMEM;
    if (self->pending & TRI_PENDING_REJECT || (self->pending != 0 && (size_t)took == n))
        return TRI_OK;
    self->pending = 0; /* a head within a field of this one, or none at all */
    tri_http1_reject(self, 400, "the head is malformed");
    return TRI_OK;
}

/* Whether a body of `n` more bytes is what the head has announced, and within the limit; refuses it if not. */
static bool check_body(tri_http1 *self, size_t n)
{
    uint64_t limit = self->shared->limits->body;
    bool by_length = self->in_state == TRI_IN_BODY;
    if (self->in_state < TRI_IN_BODY || self->in_state >= TRI_IN_DONE || (by_length && n > self->remaining)) {
        tri_http1_reject(self, 400, "the body is longer than its head says");
        return false;
    }
    if (limit != 0 && n > limit - self->body_seen) {
        tri_http1_reject(self, 413, "the body is too large");
        return false;
    }
    return true;
}

void tri_http1_reader_body(tri_http1 *self, tri_span bytes)
{
    if (!check_body(self, bytes.n))
        return;
    self->ext_seen = 0;
    if (self->in_state == TRI_IN_BODY) {
        tri_http1_body_recv(self, bytes.p, bytes.n);
        return;
    }
    self->in_state = TRI_IN_CHUNK_DATA;
    self->body_seen += bytes.n;
    self->body = bytes;
    self->pending |= TRI_PENDING_BODY;
}

void tri_http1_reader_end(tri_http1 *self)
{
    if (self->in_state < TRI_IN_BODY || self->in_state >= TRI_IN_DONE)
        return; /* there was no body, or its length has told */
    if (self->in_state == TRI_IN_BODY) {
        tri_http1_reject(self, 400, "the body is shorter than its head says");
        return;
    }
    self->pending |= TRI_PENDING_END;
    tri_http1_request_done(self);
}

void tri_http1_reader_reject(tri_http1 *self, int status, const char *reason)
{
    tri_http1_reject(self, status, reason);
}
