/* The HTTP/1.1 tests' driver: feeds requests in pieces, answers each, and writes down the events as lines of text. */
#ifndef TRI_TESTS_HTTP1_RECORD_H
#define TRI_TESTS_HTTP1_RECORD_H

#include <stdarg.h>

#include "base/limits.h"
#include "check.h"
#include "http/http1.h"

enum { RECORD_MAX = 1 << 17 };

typedef struct record {
    check_mem mem;
    tri_limits limits;
    tri_chain_pool chains;
    tri_http1_shared shared;
    tri_http1 http1;
    tri_protocol *protocol;
    bool silent;  /* leaves requests without an answer */
    bool in_body; /* the log's last line is a body that may go on */
    int error;    /* the first TRI_E… of any call */
    size_t log_n;
    size_t out_n;
    char log[RECORD_MAX];
    char out[RECORD_MAX]; /* what was sent */
} record;

/* Appends bytes to the log; what does not fit ends the program. */
static inline void record_bytes(record *self, const char *p, size_t n)
{
    if (n >= sizeof self->log - self->log_n)
        abort();
    if (n > 0)
        memcpy(self->log + self->log_n, p, n);
    self->log_n += n;
    self->log[self->log_n] = '\0';
}

__attribute__((format(printf, 2, 3))) static inline void record_text(record *self, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    record_bytes(self, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

static inline void record_slice(record *self, const tri_head *head, tri_slice slice, const char *after)
{
    tri_span span = tri_head_span(head, slice);
    record_bytes(self, span.p, span.n);
    record_bytes(self, after, strlen(after));
}

/* "GET /a?b path=/a query=b host=h 1.1 KB" and a line " name: value" for each field. */
static inline void record_head(record *self, const tri_head *head)
{
    static const char letters[] = "KEBLUHT";
    record_slice(self, head, head->method, " ");
    record_slice(self, head, head->target, " path=");
    record_slice(self, head, head->path, " query=");
    record_slice(self, head, head->query, " host=");
    record_slice(self, head, head->host, "");
    record_text(self, " %u.%u ", head->major, head->minor);
    for (unsigned bit = 0; letters[bit] != '\0'; bit++)
        if (head->flags >> bit & 1)
            record_bytes(self, &letters[bit], 1);
    if (head->flags & TRI_HEAD_LENGTH)
        record_text(self, "%llu", (unsigned long long)head->content_length);
    record_bytes(self, "\n", 1);
    for (uint32_t i = 0; i < head->n_fields; i++) {
        uint32_t hash = UINT32_C(2166136261);
        tri_span name = tri_head_span(head, head->fields[i].name);
        for (size_t j = 0; j < name.n; j++)
            hash = (hash ^ (unsigned char)name.p[j]) * UINT32_C(16777619);
        if (hash != head->fields[i].hash)
            record_text(self, "wrong hash");
        record_bytes(self, " ", 1);
        record_slice(self, head, head->fields[i].name, ": ");
        record_slice(self, head, head->fields[i].value, "\n");
    }
}

static inline void record_error(record *self, int error)
{
    if (error < 0 && self->error == 0)
        self->error = error;
}

/* Takes what may be written from the protocol, as a socket would. */
static inline void record_write(record *self)
{
    tri_chain *chain = self->protocol->ops->send(self->protocol);
    size_t left;
    while ((left = self->protocol->ops->sendable(self->protocol)) > 0) {
        struct iovec iov[8];
        int n = tri_chain_iov(chain, iov, 8, left);
        size_t wrote = 0;
        for (int i = 0; i < n; i++) {
            if (self->out_n + iov[i].iov_len < sizeof self->out)
                memcpy(self->out + self->out_n, iov[i].iov_base, iov[i].iov_len);
            self->out_n += iov[i].iov_len;
            wrote += iov[i].iov_len;
        }
        tri_chain_consume(chain, &self->chains, wrote);
    }
    self->out[self->out_n] = '\0';
}

/* Gives the request at work a short answer. */
static inline void record_answer(record *self, int status)
{
    tri_response response = { .status = status };
    tri_loan loan = { .bytes = TRI_SPAN("ok") };
    int error = self->protocol->ops->submit_head(self->protocol, 0, &response);
    if (error == 0)
        error = self->protocol->ops->submit_body(self->protocol, 0, &loan, true);
    record_error(self, error);
    record_write(self);
}

static inline void record_event(record *self, const tri_event *event)
{
    if (self->in_body && event->type != TRI_EVENT_BODY)
        record_text(self, "\n");
    if (!self->in_body && event->type == TRI_EVENT_BODY)
        record_text(self, "+");
    self->in_body = event->type == TRI_EVENT_BODY;
    if (event->type == TRI_EVENT_HEAD)
        record_head(self, event->head);
    else if (event->type == TRI_EVENT_BODY)
        record_bytes(self, event->body.p, event->body.n);
    else if (event->type == TRI_EVENT_END)
        record_text(self, ".\n");
    else if (event->type == TRI_EVENT_REJECT)
        record_text(self, "!%d %s\n", event->status, event->reason);
    bool complete =
        event->type == TRI_EVENT_END || (event->type == TRI_EVENT_HEAD && !(event->head->flags & TRI_HEAD_BODY));
    if (complete && !self->silent)
        record_answer(self, 200);
}

/* Writes down every event that waits; returns how many. */
static inline unsigned record_pull(record *self)
{
    unsigned n = 0;
    for (tri_event event;; n++) {
        self->protocol->ops->next_event(self->protocol, &event);
        if (event.type == TRI_EVENT_NONE)
            return n;
        record_event(self, &event);
    }
}

/* Feeds bytes that end at a protected page; returns how many were not taken. */
static inline size_t record_feed(record *self, const void *bytes, size_t n)
{
    char *p = check_page_reuse(bytes, n);
    size_t at = 0;
    while (at < n && self->error == 0) {
        ptrdiff_t took = self->protocol->ops->recv(self->protocol, p + at, n - at);
        record_error(self, took < 0 ? (int)took : 0);
        at += took < 0 ? 0 : (size_t)took;
        if (record_pull(self) == 0 && took <= 0)
            break;
    }
    return n - at;
}

static inline void record_eof(record *self)
{
    record_error(self, self->protocol->ops->recv_eof(self->protocol));
    record_pull(self);
}

static inline unsigned record_state(const record *self)
{
    return self->protocol->ops->state(self->protocol);
}

/* A new connection with default limits, which may be changed before record_open. */
static inline void record_init(record *self)
{
    check_mem_init(&self->mem);
    tri_limits_default(&self->limits);
    self->silent = self->in_body = false;
    self->error = 0;
    self->log_n = self->out_n = 0;
    self->log[0] = self->out[0] = '\0';
}

static inline int record_open(record *self)
{
    tri_chain_pool_init(&self->chains, &self->mem.mem);
    tri_http1_init(&self->http1, &self->shared);
    self->protocol = &self->http1.protocol;
    return tri_http1_shared_init(&self->shared, &self->mem.mem, &self->limits, &self->chains);
}

/* Ends the connection; every block must be back. */
static inline void record_close(record *self)
{
    self->protocol->ops->fini(self->protocol);
    tri_http1_shared_fini(&self->shared);
    tri_chain_pool_fini(&self->chains);
    CHECK(self->mem.blocks_out == 0);
}

#endif
