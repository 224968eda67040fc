/* Chunked bodies (RFC 9112 §7.1), a byte at a time but for the data: nothing is kept when a line comes in pieces. */
#include "http/http1_internal.h"

/* Sizes above it are refused before sums of them could overflow. */
static const uint64_t most = UINT64_C(1) << 62;

/* The value of a hexadecimal digit, -1 for any other byte. */
static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Whether `c` may stand in a field value or a chunk extension. */
static bool is_text(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* Takes the LF that is due, and goes on to `then`. */
static void expect_lf(tri_http1 *self, unsigned char c, enum tri_http1_in then)
{
    if (c == '\n')
        self->in_state = (uint8_t)then;
    else
        tri_http1_reject(self, 400, "a line of a chunked body has a CR without LF");
}

/* A byte of an extension, which nobody reads. */
static void ext_byte(tri_http1 *self, unsigned char c)
{
    if (c == '\r')
        self->in_state = TRI_IN_CHUNK_SIZE_LF;
    else if (!is_text(c))
        tri_http1_reject(self, 400, "a chunk extension has a control character");
    else if (self->ext_seen++ >= self->shared->limits->chunk_ext)
        tri_http1_reject(self, 400, "chunk extensions are too long");
}

/* A byte of the size. */
static void size_byte(tri_http1 *self, unsigned char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        if (self->remaining >= most / 16 || self->size_digits++ >= 16)
            tri_http1_reject(self, 400, "a chunk size is too large");
        self->remaining = self->remaining * 16 + (unsigned)digit;
    } else if (c == '\r') {
        self->in_state = TRI_IN_CHUNK_SIZE_LF;
    } else if (c == ';') {
        self->in_state = TRI_IN_CHUNK_EXT;
        ext_byte(self, c);
    } else {
        tri_http1_reject(self, 400, "a chunk size is malformed");
    }
}

/* The first byte of a size, which must be a digit. */
static void first_digit(tri_http1 *self, unsigned char c)
{
    self->in_state = TRI_IN_CHUNK_SIZE;
    self->remaining = 0;
    self->size_digits = 0;
    if (hex_value(c) < 0)
        tri_http1_reject(self, 400, "a chunk size is malformed");
    else
        size_byte(self, c);
}

/* The end of a size line: data follows, or the trailers. */
static void size_line_end(tri_http1 *self, unsigned char c)
{
    const tri_limits *limits = self->shared->limits;
    if (self->remaining == 0) {
        expect_lf(self, c, TRI_IN_TRAILER_START);
        self->remaining = limits->trailers;
        return;
    }
    expect_lf(self, c, TRI_IN_CHUNK_DATA);
    if (self->in_state != TRI_IN_CHUNK_DATA)
        return;
    if (self->remaining > most - self->body_seen)
        tri_http1_reject(self, 400, "a chunk size is too large");
    self->body_seen += self->remaining;
    if (limits->body != 0 && self->body_seen > limits->body && self->in_state == TRI_IN_CHUNK_DATA)
        tri_http1_reject(self, 413, "the body is too large");
}

/* A byte of a trailer's field line: checked like any other, then dropped. */
static void trailer_byte(tri_http1 *self, unsigned char c)
{
    bool in_value = self->in_state == TRI_IN_TRAILER_VALUE;
    if (self->remaining == 0) {
        tri_http1_reject(self, 431, "the trailers are too long");
        return;
    }
    self->remaining--;
    if (in_value && c == '\r')
        self->in_state = TRI_IN_TRAILER_LF;
    else if (!in_value && c == ':')
        self->in_state = TRI_IN_TRAILER_VALUE;
    else if (in_value ? !is_text(c) : tri_http1_head_token[c] == 0)
        tri_http1_reject(self, 400, "a trailer is malformed");
}

/* The LF behind a trailer. */
static void trailer_lf(tri_http1 *self, unsigned char c)
{
    expect_lf(self, c, TRI_IN_TRAILER_START);
    if (self->in_state == TRI_IN_TRAILER_START && self->remaining-- == 0)
        tri_http1_reject(self, 431, "the trailers are too long");
}

/* The first byte of a trailer, or of the last line. */
static void trailer_start(tri_http1 *self, unsigned char c)
{
    if (c == '\r') {
        self->in_state = TRI_IN_LAST_LF;
    } else if (tri_http1_head_token[c] == 0) {
        tri_http1_reject(self, 400, "a trailer is malformed");
    } else {
        self->in_state = TRI_IN_TRAILER_NAME;
        trailer_byte(self, c);
    }
}

/* The end of the whole body. */
static void last_lf(tri_http1 *self, unsigned char c)
{
    expect_lf(self, c, TRI_IN_DONE);
    if (self->in_state != TRI_IN_DONE)
        return;
    self->pending |= TRI_PENDING_END;
    tri_http1_request_done(self);
}

/* A byte of anything but data. */
static void step(tri_http1 *self, unsigned char c)
{
    switch ((enum tri_http1_in)self->in_state) {
    case TRI_IN_CHUNK_START:
        first_digit(self, c);
        break;
    case TRI_IN_CHUNK_SIZE:
        size_byte(self, c);
        break;
    case TRI_IN_CHUNK_EXT:
        ext_byte(self, c);
        break;
    case TRI_IN_CHUNK_SIZE_LF:
        size_line_end(self, c);
        break;
    case TRI_IN_CHUNK_DATA_CR:
        self->in_state = TRI_IN_CHUNK_DATA_LF;
        if (c != '\r')
            tri_http1_reject(self, 400, "a chunk is longer than its size");
        break;
    case TRI_IN_CHUNK_DATA_LF:
        expect_lf(self, c, TRI_IN_CHUNK_START);
        break;
    case TRI_IN_TRAILER_START:
        trailer_start(self, c);
        break;
    case TRI_IN_TRAILER_NAME:
    case TRI_IN_TRAILER_VALUE:
        trailer_byte(self, c);
        break;
    case TRI_IN_TRAILER_LF:
        trailer_lf(self, c);
        break;
    case TRI_IN_LAST_LF:
        last_lf(self, c);
        break;
    default:
        break;
    }
}

/* Takes data of a chunk; returns how many bytes. */
static size_t take_data(tri_http1 *self, const char *bytes, size_t n)
{
    if (n > self->remaining)
        n = (size_t)self->remaining;
    self->body = (tri_span){ bytes, n };
    self->pending |= TRI_PENDING_BODY;
    self->remaining -= n;
    if (self->remaining == 0)
        self->in_state = TRI_IN_CHUNK_DATA_CR;
    return n;
}

size_t tri_http1_chunk_recv(tri_http1 *self, const char *bytes, size_t n)
{
    size_t at = 0;
    while (at < n && self->pending == 0) {
        if (self->in_state == TRI_IN_CHUNK_DATA)
            at += take_data(self, bytes + at, n - at);
        else
            step(self, (unsigned char)bytes[at++]);
    }
    return at;
}
