/* The WebSocket tests' driver: makes a client's frames, feeds them in pieces, and writes down the events as lines of
   text. */
#ifndef TRI_TESTS_WS_RECORD_H
#define TRI_TESTS_WS_RECORD_H

#include <stdarg.h>

#include "base/limits.h"
#include "check.h"
#include "ws/ws.h"
#include "ws/ws_frame.h"

enum { WS_RECORD_MAX = 1 << 17, WS_RECORD_SHOWN = 300, WS_BYTES_MAX = 1 << 18 };

/* --- what a client sends --- */

typedef struct ws_bytes {
    size_t n;
    unsigned char p[WS_BYTES_MAX];
} ws_bytes;

static inline void ws_put(ws_bytes *to, const void *bytes, size_t n)
{
    if (n > sizeof to->p - to->n)
        abort();
    if (n > 0)
        memcpy(to->p + to->n, bytes, n);
    to->n += n;
}

/* A frame's head with its key; the length is told in `bytes` bytes: 0, 2 or 8. */
static inline void ws_put_head(ws_bytes *to, unsigned first, unsigned bytes, uint64_t n, const unsigned char key[4])
{
    unsigned char head[10] = { (unsigned char)first };
    head[1] = (unsigned char)(TRI_WS_FRAME_MASK | (bytes == 0 ? n : bytes == 2 ? 126 : 127));
    for (unsigned i = 0; i < bytes; i++)
        head[2 + i] = (unsigned char)(n >> 8 * (bytes - 1 - i));
    ws_put(to, head, 2 + bytes);
    ws_put(to, key, 4);
}

/* A whole frame, masked, with a key that is another one each time. */
static inline void ws_put_frame(ws_bytes *to, unsigned first, const void *payload, size_t n)
{
    static unsigned char key[4] = { 1, 2, 3, 4 };
    for (unsigned i = 0; i < 4; i++)
        key[i] = (unsigned char)(key[i] * 5U + 17 + i);
    ws_put_head(to, first, n < 126 ? 0 : n <= UINT16_MAX ? 2 : 8, n, key);
    ws_put(to, payload, n);
    for (size_t i = 0; i < n; i++)
        to->p[to->n - n + i] ^= key[i % 4];
}

static inline void ws_put_text(ws_bytes *to, unsigned first, const char *text)
{
    ws_put_frame(to, first, text, strlen(text));
}

/* --- the socket --- */

typedef struct ws_record {
    check_mem mem;
    tri_limits limits;
    tri_ws_deflate_options options;
    tri_chain_pool chains;
    tri_ws_shared shared;
    tri_ws ws;
    tri_ws_protocol *protocol;
    tri_chain out; /* what was submitted */
    int error;     /* the first TRI_E… of recv */
    bool silent;   /* writes down nothing */
    size_t log_n;
    char log[WS_RECORD_MAX];
} ws_record;

/* Appends a line: what happened, how many bytes came with it, and these, or a hash of them when they are many. */
static inline void ws_record_line(ws_record *self, const char *what, tri_span bytes)
{
    if (self->silent)
        return;
    if (self->log_n + WS_RECORD_SHOWN + 100 > sizeof self->log)
        abort();
    char *to = self->log + self->log_n;
    int n = snprintf(to, 100, *what == 'f' ? "%s" : "%s %zu ", what, bytes.n);
    if (bytes.n <= WS_RECORD_SHOWN) {
        if (bytes.n > 0)
            memcpy(to + n, bytes.p, bytes.n);
        n += (int)bytes.n;
    } else {
        uint64_t hash = UINT64_C(14695981039346656037);
        for (size_t i = 0; i < bytes.n; i++)
            hash = (hash ^ (unsigned char)bytes.p[i]) * UINT64_C(1099511628211);
        n += snprintf(to + n, 100, "#%016llx", (unsigned long long)hash);
    }
    to[n++] = '\n';
    to[n] = '\0';
    self->log_n += (size_t)n;
}

static inline void ws_record_event(ws_record *self, const tri_ws_event *event)
{
    char what[100];
    if (event->type == TRI_WS_EVENT_MESSAGE) {
        tri_ws_message *message = event->message;
        CHECK(message->n <= message->room);
        ws_record_line(self, message->text ? "text" : "binary", (tri_span){ message->bytes, message->n });
        tri_ws_message_free(message, &self->mem.mem);
    } else if (event->type == TRI_WS_EVENT_PING || event->type == TRI_WS_EVENT_PONG) {
        ws_record_line(self, event->type == TRI_WS_EVENT_PING ? "ping" : "pong", event->payload);
    } else if (event->type == TRI_WS_EVENT_CLOSE) {
        snprintf(what, sizeof what, "close %d", event->code);
        ws_record_line(self, what, event->payload);
    } else {
        snprintf(what, sizeof what, "fail %d %.*s", event->code, (int)event->payload.n, event->payload.p);
        ws_record_line(self, what, (tri_span){ NULL, 0 });
    }
}

/* Writes down every event that waits; returns how many. */
static inline unsigned ws_record_pull(ws_record *self)
{
    unsigned n = 0;
    for (tri_ws_event event;; n++) {
        self->protocol->ops->next_event(self->protocol, &event);
        if (event.type == TRI_WS_EVENT_NONE)
            return n;
        ws_record_event(self, &event);
    }
}

/* Feeds bytes that end at a protected page. */
static inline void ws_record_feed(ws_record *self, const void *bytes, size_t n)
{
    char *p = check_page_reuse(bytes, n);
    size_t at = 0;
    while (at < n && self->error == 0) {
        ptrdiff_t took = self->protocol->ops->recv(self->protocol, p + at, n - at);
        if (took < 0)
            self->error = (int)took;
        at += took < 0 ? 0 : (size_t)took;
        if (ws_record_pull(self) == 0 && took == 0)
            abort(); /* it would never go on */
    }
}

/* Feeds them in pieces of `step` bytes. */
static inline void ws_record_steps(ws_record *self, const ws_bytes *bytes, size_t step)
{
    for (size_t at = 0; at < bytes->n; at += step)
        ws_record_feed(self, bytes->p + at, step < bytes->n - at ? step : bytes->n - at);
}

/* A new socket with default limits and options, which may be changed before ws_record_open. */
static inline void ws_record_init(ws_record *self)
{
    check_mem_init(&self->mem);
    tri_limits_default(&self->limits);
    self->options = (tri_ws_deflate_options){
        .enabled = true, .window_bits = 12, .level = 6, .mem_level = 5, .min_size = 0, .streams = 16
    };
    self->error = 0;
    self->silent = false;
    self->log_n = 0;
    self->log[0] = '\0';
}

static inline void ws_record_open(ws_record *self)
{
    tri_chain_pool_init(&self->chains, &self->mem.mem);
    tri_ws_shared_init(&self->shared, &self->mem.mem, &self->limits, &self->chains, &self->options);
    tri_ws_init(&self->ws, &self->shared);
    self->protocol = &self->ws.protocol;
    tri_chain_init(&self->out);
}

/* The answer to an offer of extensions, empty when there is none. Static storage. */
static inline const char *ws_record_agree(ws_record *self, const char *offers)
{
    static char answer[TRI_WS_ANSWER_MOST + 1];
    tri_span span = { offers, strlen(offers) };
    ptrdiff_t n = self->protocol->ops->negotiate(self->protocol, span, answer);
    CHECK(n >= 0 && n <= TRI_WS_ANSWER_MOST);
    answer[n] = '\0';
    return answer;
}

/* Takes what was submitted, at most `most` bytes; returns how many there were. */
static inline size_t ws_record_take(ws_record *self, void *to, size_t most)
{
    size_t n = 0;
    struct iovec iov[16];
    while (self->out.bytes > 0) {
        int count = tri_chain_iov(&self->out, iov, 16, self->out.bytes);
        size_t wrote = 0;
        for (int i = 0; i < count; i++) {
            if (iov[i].iov_len > most - n)
                abort();
            memcpy((char *)to + n, iov[i].iov_base, iov[i].iov_len);
            n += iov[i].iov_len;
            wrote += iov[i].iov_len;
        }
        tri_chain_consume(&self->out, &self->chains, wrote);
    }
    return n;
}

/* Ends the socket; every block must be back. */
static inline void ws_record_close(ws_record *self)
{
    self->protocol->ops->fini(self->protocol);
    tri_chain_clear(&self->out, &self->chains);
    tri_ws_shared_fini(&self->shared);
    tri_chain_pool_fini(&self->chains);
    CHECK(self->mem.blocks_out == 0);
}

/* Whether the events since the last time are `text`. */
static inline bool ws_record_logged(ws_record *self, const char *text)
{
    bool same = strcmp(self->log, text) == 0;
    if (!same)
        fprintf(stderr, "logged:\n%s\n", self->log);
    self->log_n = 0;
    self->log[0] = '\0';
    return same;
}

#endif
