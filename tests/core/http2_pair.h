/* Both ends of an HTTP/2 connection without sockets: ours, and nghttp2's client or raw frames at the other. What is
   seen on either side is written down. */
#ifndef TRI_TESTS_HTTP2_PAIR_H
#define TRI_TESTS_HTTP2_PAIR_H

#include <stdarg.h>

#include <nghttp2/nghttp2.h>

#include "base/limits.h"
#include "check.h"
#include "http/http2.h"

enum { LOG = 1 << 16 };

typedef struct pair {
    check_mem mem;
    tri_limits limits;
    tri_chain_pool chains;
    uint64_t now;
    tri_http2 server;
    tri_protocol *protocol;
    nghttp2_session *client; /* NULL: raw frames */
    bool by_hand;            /* requests are not answered at once */
    bool taking;             /* bodies are taken at once */
    int error;               /* the server's first */
    size_t body;             /* bytes of bodies that came */
    size_t sniffed;          /* bytes of the frame whose head is being read */
    size_t skip;             /* bytes of a frame's payload that are not looked at */
    uint8_t frame[32];       /* a frame's first bytes */
    char events[LOG];
    char answers[LOG]; /* as the client understands them */
    char frames[LOG];  /* as they are */
} pair;

__attribute__((format(printf, 2, 3))) static inline void note(char *log, const char *format, ...)
{
    size_t n = strlen(log);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(log + n, LOG - n, format, arguments);
    va_end(arguments);
}

static inline bool saw(const char *log, const char *text)
{
    return strstr(log, text) != NULL;
}

/* How often a text is in a log. */
static inline unsigned times(const char *log, const char *text)
{
    unsigned n = 0;
    for (const char *p = log; (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

static inline int pair_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                             const uint8_t *value, size_t value_n, uint8_t flags, void *context)
{
    (void)session, (void)flags;
    pair *self = context;
    note(self->answers, "%d %.*s=%.*s\n", frame->hd.stream_id, (int)name_n, name, (int)value_n, value);
    return 0;
}

static inline int pair_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                            void *context)
{
    (void)session, (void)flags;
    pair *self = context;
    note(self->answers, "%d body %.*s\n", id, (int)(n < 20 ? n : 20), bytes);
    return 0;
}

static inline int pair_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    (void)session;
    pair *self = context;
    note(self->answers, "%d closed %u\n", id, code);
    return 0;
}

/* The server's side alone. */
static inline void start_server(pair *self, size_t fail_at)
{
    memset(self, 0, sizeof *self);
    check_mem_init(&self->mem);
    self->mem.fail_at = fail_at;
    self->now = 5000;
    tri_limits_default(&self->limits);
    tri_chain_pool_init(&self->chains, &self->mem.mem);
    tri_http2_init(&self->server, &self->mem.mem, &self->limits, &self->chains, &self->now);
    self->protocol = &self->server.protocol;
}

/* Both, with a client that may send what is malformed. */
static inline void start(pair *self, size_t fail_at)
{
    start_server(self, fail_at);
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, 1000);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, pair_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, pair_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, pair_close);
    CHECK(nghttp2_session_client_new2(&self->client, callbacks, self, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    CHECK(nghttp2_submit_settings(self->client, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
}

/* Ends both; nothing of the server's memory may be out. */
static inline void stop(pair *self)
{
    self->protocol->ops->fini(self->protocol);
    tri_chain_pool_fini(&self->chains);
    nghttp2_session_del(self->client);
    CHECK(self->mem.blocks_out == 0 && self->mem.bytes_out == 0);
}

static inline void failed(pair *self, int error)
{
    if (error != 0 && self->error == 0)
        self->error = error;
}

static inline unsigned state_of(const pair *self)
{
    return self->protocol->ops->state(self->protocol);
}

/* A head, and nothing yet of a body. */
static inline int begin(pair *self, uint32_t id, int status)
{
    tri_field_out fields[] = { { TRI_SPAN("Content-Type"), TRI_SPAN("text/plain") },
                               { TRI_SPAN("connection"), TRI_SPAN("close") } };
    tri_response response = { .status = status, .fields = fields, .n_fields = 2, .date = TRI_SPAN("date: now\r\n") };
    return self->protocol->ops->submit_head(self->protocol, id, &response);
}

static inline int put(pair *self, uint32_t id, const char *text, bool end)
{
    tri_loan loan = { .bytes = { text, strlen(text) } };
    return self->protocol->ops->submit_body(self->protocol, id, &loan, end);
}

static inline void answer(pair *self, uint32_t id, int status)
{
    failed(self, begin(self, id, status));
    if (self->error == 0)
        failed(self, put(self, id, "hello", true));
}

static inline void note_event(pair *self, const tri_event *event)
{
    note(self->events, "%u %d", event->stream, (int)event->type);
    if (event->type == TRI_EVENT_HEAD) {
        const tri_head *head = event->head;
        note(self->events, " %.*s path=%.*s query=%.*s", (int)head->method.n, head->base + head->method.at,
             (int)head->path.n, head->base + head->path.at, (int)head->query.n, head->base + head->query.at);
        for (uint32_t i = 0; i < head->n_fields; i++)
            note(self->events, " %.*s=%.*s", (int)head->fields[i].name.n, head->base + head->fields[i].name.at,
                 (int)head->fields[i].value.n, head->base + head->fields[i].value.at);
    }
    if (event->type == TRI_EVENT_REJECT)
        note(self->events, " %d %s", event->status, event->reason);
    note(self->events, "\n");
}

/* Writes down what has come and answers whole requests, and those that were refused. */
static inline void pull(pair *self)
{
    tri_event event;
    while (self->protocol->ops->next_event(self->protocol, &event), event.type != TRI_EVENT_NONE) {
        note_event(self, &event);
        if (event.type == TRI_EVENT_BODY)
            self->body += event.body.n;
        if (event.type == TRI_EVENT_BODY && self->taking)
            failed(self, self->protocol->ops->consumed(self->protocol, event.stream, event.body.n));
        bool whole =
            event.type == TRI_EVENT_END || (event.type == TRI_EVENT_HEAD && !(event.head->flags & TRI_HEAD_BODY));
        if (whole && !self->by_hand && self->error == 0)
            answer(self, event.stream, 200);
        if (event.type == TRI_EVENT_REJECT && event.status != 0 && self->error == 0)
            answer(self, event.stream, event.status);
    }
}

/* Gives the server bytes as they come from a socket, in pieces. */
static inline void feed(pair *self, const void *bytes, size_t n, size_t piece)
{
    for (size_t at = 0; at < n && self->error == 0;) {
        size_t most = n - at < piece ? n - at : piece;
        char *page = check_page_reuse((const char *)bytes + at, most);
        ptrdiff_t took = self->protocol->ops->recv(self->protocol, page, most);
        failed(self, took < 0 ? (int)took : 0);
        at += took < 0 ? 0 : (size_t)took;
        pull(self);
    }
}

static inline uint32_t big32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A frame's head, and as much of its payload as is looked at. */
static inline void note_frame(pair *self)
{
    static const char *const names[] = { "DATA",         "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
                                         "PUSH_PROMISE", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION" };
    const uint8_t *frame = self->frame;
    uint32_t n = big32(frame) >> 8, id = big32(frame + 5);
    unsigned type = frame[3];
    note(self->frames, "%s %u n=%u flags=%u", type < 10 ? names[type] : "?", id, n, frame[4]);
    if (type == NGHTTP2_RST_STREAM || type == NGHTTP2_WINDOW_UPDATE)
        note(self->frames, " %u", big32(frame + 9));
    if (type == NGHTTP2_GOAWAY)
        note(self->frames, " last=%u code=%u", big32(frame + 9), big32(frame + 13));
    note(self->frames, "\n");
}

/* Reads frames that the server sends. */
static inline void sniff(pair *self, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (self->skip > 0) {
            self->skip--;
            continue;
        }
        self->frame[self->sniffed++] = bytes[i];
        if (self->sniffed < 9)
            continue;
        uint32_t length = big32(self->frame) >> 8;
        uint32_t seen = self->frame[3] == NGHTTP2_DATA || self->frame[3] == NGHTTP2_HEADERS ? 0 : length;
        seen = seen < 8 ? seen : 8;
        if (self->sniffed < 9 + seen)
            continue;
        note_frame(self);
        self->skip = length - seen;
        self->sniffed = 0;
    }
}

/* Takes up to `most` bytes that the server sends; returns how many. */
static inline size_t drain(pair *self, size_t most)
{
    tri_chain *out = self->protocol->ops->send(self->protocol);
    struct iovec iov[1];
    if (self->error != 0 || tri_chain_iov(out, iov, 1, most) == 0)
        return 0;
    sniff(self, iov[0].iov_base, iov[0].iov_len);
    if (self->client != NULL)
        CHECK(nghttp2_session_mem_recv(self->client, iov[0].iov_base, iov[0].iov_len) == (ssize_t)iov[0].iov_len);
    size_t n = iov[0].iov_len;
    tri_chain_consume(out, &self->chains, n);
    return n;
}

/* Carries bytes both ways, `piece` at a time, until neither end has any. */
static inline void carry(pair *self, size_t piece)
{
    bool any = true;
    while (any && self->error == 0) {
        const uint8_t *bytes = NULL;
        ssize_t n = self->client == NULL ? 0 : nghttp2_session_mem_send(self->client, &bytes);
        any = n > 0;
        if (n > 0)
            feed(self, bytes, (size_t)n, piece);
        while (self->error == 0 && drain(self, piece) > 0)
            any = true;
    }
}

/* A raw frame. */
static inline void frame(pair *self, unsigned type, unsigned flags, uint32_t id, tri_span payload)
{
    uint8_t bytes[9 + 20000];
    size_t n = payload.n;
    const uint8_t head[9] = { (uint8_t)(n >> 16),  (uint8_t)(n >> 8),  (uint8_t)n,
                              (uint8_t)type,       (uint8_t)flags,     (uint8_t)(id >> 24),
                              (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
    memcpy(bytes, head, 9);
    if (n > 0)
        memcpy(bytes + 9, payload.p, n);
    feed(self, bytes, 9 + n, SIZE_MAX);
}

/* GET http://a/ in three indexed fields and a literal. */
#define RAW_GET                     \
    TRI_SPAN("\x82\x84\x86\x41\x01" \
             "a")
#define RAW_POST                    \
    TRI_SPAN("\x83\x84\x86\x41\x01" \
             "a")

/* The server's side alone, greeted. */
static inline void start_raw(pair *self)
{
    start_server(self, 0);
    feed(self, TRI_HTTP2_PREFACE, sizeof TRI_HTTP2_PREFACE - 1, SIZE_MAX);
    frame(self, NGHTTP2_SETTINGS, 0, 0, (tri_span){ NULL, 0 });
    frame(self, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (tri_span){ NULL, 0 });
    carry(self, SIZE_MAX);
}

#define NV(name, value)                                                                                     \
    {                                                                                                       \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1, sizeof(value) - 1, 0 \
    }

static inline ssize_t upload(nghttp2_session *session, int32_t id, uint8_t *into, size_t most, uint32_t *flags,
                             nghttp2_data_source *source, void *context)
{
    (void)session, (void)id, (void)context;
    size_t *left = source->ptr;
    size_t n = *left < most ? *left : most;
    memset(into, 'x', n);
    *left -= n;
    if (*left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* A request of the client's, with these four fields and up to eight more. */
static inline int32_t ask(pair *self, const nghttp2_nv *fields, size_t n, size_t *body)
{
    nghttp2_data_provider source = { .source = { .ptr = body }, .read_callback = upload };
    return nghttp2_submit_request(self->client, NULL, fields, n, body == NULL ? NULL : &source, NULL);
}

static inline int32_t get(pair *self)
{
    const nghttp2_nv nv[] = { NV(":method", "GET"), NV(":scheme", "http"), NV(":authority", "a.example"),
                              NV(":path", "/x?y=1"), NV("te", "trailers") };
    return ask(self, nv, 5, NULL);
}

static inline int32_t post(pair *self, size_t *bytes)
{
    const nghttp2_nv nv[] = { NV(":method", "POST"), NV(":scheme", "http"), NV(":authority", "a.example"),
                              NV(":path", "/") };
    return ask(self, nv, 4, bytes);
}

#endif
