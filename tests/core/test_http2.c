/* HTTP/2's protocol against nghttp2's own client: what events come of requests, and what the client is answered. */
#include <stdarg.h>

#include <nghttp2/nghttp2.h>

#include "base/limits.h"
#include "check.h"
#include "http/http2.h"

enum { LOG = 1 << 14 };

/* Both ends of a connection, and what was seen on either. */
typedef struct pair {
    check_mem mem;
    tri_limits limits;
    tri_chain_pool chains;
    tri_http2 server;
    tri_protocol *protocol;
    nghttp2_session *client;
    bool by_hand; /* requests are not answered at once */
    int error;    /* the server's first */
    char events[LOG];
    char answers[LOG];
} pair;

__attribute__((format(printf, 2, 3))) static void note(char *log, const char *format, ...)
{
    size_t n = strlen(log);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(log + n, LOG - n, format, arguments);
    va_end(arguments);
}

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                    const uint8_t *value, size_t value_n, uint8_t flags, void *context)
{
    (void)session, (void)flags;
    pair *self = context;
    note(self->answers, "%d %.*s=%.*s\n", frame->hd.stream_id, (int)name_n, name, (int)value_n, value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *context)
{
    (void)session, (void)flags;
    pair *self = context;
    note(self->answers, "%d body %.*s\n", id, (int)(n < 20 ? n : 20), bytes);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    (void)session;
    pair *self = context;
    note(self->answers, "%d closed %u\n", id, code);
    return 0;
}

static void start(pair *self, size_t fail_at)
{
    memset(self, 0, sizeof *self);
    check_mem_init(&self->mem);
    self->mem.fail_at = fail_at;
    tri_limits_default(&self->limits);
    tri_chain_pool_init(&self->chains, &self->mem.mem);
    tri_http2_init(&self->server, &self->mem.mem, &self->limits, &self->chains);
    self->protocol = &self->server.protocol;
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_http_messaging(option, 1); /* it may send what is malformed */
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    CHECK(nghttp2_session_client_new2(&self->client, callbacks, self, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    CHECK(nghttp2_submit_settings(self->client, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
}

/* Ends both; nothing of the server's memory may be out. */
static void stop(pair *self)
{
    self->protocol->ops->fini(self->protocol);
    tri_chain_pool_fini(&self->chains);
    nghttp2_session_del(self->client);
    CHECK(self->mem.blocks_out == 0 && self->mem.bytes_out == 0);
}

static void failed(pair *self, int error)
{
    if (error != 0 && self->error == 0)
        self->error = error;
}

static void answer(pair *self, uint32_t id)
{
    tri_field_out fields[] = { { TRI_SPAN("Content-Type"), TRI_SPAN("text/plain") },
                               { TRI_SPAN("connection"), TRI_SPAN("close") } };
    tri_response response = { .status = 200, .fields = fields, .n_fields = 2, .date = TRI_SPAN("date: now\r\n") };
    failed(self, self->protocol->ops->submit_head(self->protocol, id, &response));
    tri_loan loan = { .bytes = TRI_SPAN("hello") };
    if (self->error == 0)
        failed(self, self->protocol->ops->submit_body(self->protocol, id, &loan, true));
}

/* Writes down what has come and answers whole requests. */
static void pull(pair *self)
{
    tri_event event;
    while (self->protocol->ops->next_event(self->protocol, &event), event.type != TRI_EVENT_NONE) {
        note(self->events, "%u %d", event.stream, (int)event.type);
        if (event.type == TRI_EVENT_HEAD) {
            const tri_head *head = event.head;
            note(self->events, " %.*s path=%.*s query=%.*s", (int)head->method.n, head->base + head->method.at,
                 (int)head->path.n, head->base + head->path.at, (int)head->query.n, head->base + head->query.at);
            for (uint32_t i = 0; i < head->n_fields; i++)
                note(self->events, " %.*s=%.*s", (int)head->fields[i].name.n, head->base + head->fields[i].name.at,
                     (int)head->fields[i].value.n, head->base + head->fields[i].value.at);
        }
        if (event.type == TRI_EVENT_BODY)
            note(self->events, " %zu", event.body.n);
        note(self->events, "\n");
        bool whole =
            event.type == TRI_EVENT_END || (event.type == TRI_EVENT_HEAD && !(event.head->flags & TRI_HEAD_BODY));
        if (whole && !self->by_hand && self->error == 0)
            answer(self, event.stream);
    }
}

/* Carries bytes both ways, `piece` at a time, until neither end has any. */
static void carry(pair *self, size_t piece)
{
    bool any = true;
    while (any && self->error == 0) {
        any = false;
        const uint8_t *bytes = NULL;
        ssize_t n = nghttp2_session_mem_send(self->client, &bytes);
        for (ssize_t at = 0; at < n && self->error == 0;) {
            any = true;
            char *page = check_page_reuse(bytes + at, (size_t)(n - at) < piece ? (size_t)(n - at) : piece);
            ptrdiff_t took =
                self->protocol->ops->recv(self->protocol, page, (size_t)(n - at) < piece ? (size_t)(n - at) : piece);
            failed(self, took < 0 ? (int)took : 0);
            at += took < 0 ? 0 : took;
            pull(self);
        }
        tri_chain *out = self->protocol->ops->send(self->protocol);
        struct iovec iov[1];
        while (self->error == 0 && tri_chain_iov(out, iov, 1, piece) == 1) {
            any = true;
            CHECK(nghttp2_session_mem_recv(self->client, iov[0].iov_base, iov[0].iov_len) == (ssize_t)iov[0].iov_len);
            tri_chain_consume(out, &self->chains, iov[0].iov_len);
        }
    }
}

#define NV(name, value)                                                                                     \
    {                                                                                                       \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1, sizeof(value) - 1, 0 \
    }

static ssize_t upload(nghttp2_session *session, int32_t id, uint8_t *into, size_t most, uint32_t *flags,
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

static int32_t get(pair *self)
{
    const nghttp2_nv nv[] = { NV(":method", "GET"), NV(":scheme", "http"), NV(":authority", "a.example"),
                              NV(":path", "/x?y=1"), NV("te", "trailers") };
    return nghttp2_submit_request(self->client, NULL, nv, 5, NULL, NULL);
}

static int32_t post(pair *self, size_t *bytes)
{
    const nghttp2_nv nv[] = { NV(":method", "POST"), NV(":scheme", "http"), NV(":authority", "a.example"),
                              NV(":path", "/") };
    nghttp2_data_provider source = { .source = { .ptr = bytes }, .read_callback = upload };
    return nghttp2_submit_request(self->client, NULL, nv, 4, &source, NULL);
}

/* Two requests at once, in pieces of any size. */
static void test_requests(void)
{
    for (size_t piece = 1; piece < 3000; piece = piece * 2 + 1) {
        pair self;
        start(&self, 0);
        size_t bytes = 10;
        CHECK(get(&self) == 1 && post(&self, &bytes) == 3);
        carry(&self, piece);
        CHECK(self.error == 0);
        CHECK(strstr(self.events, "1 1 GET path=/x query=y=1 host=a.example te=trailers\n") != NULL);
        CHECK(strstr(self.events, "3 1 POST path=/ query= host=a.example\n") != NULL);
        CHECK(strstr(self.events, "3 3\n") != NULL);
        CHECK(strstr(self.answers, "1 :status=200\n1 content-type=text/plain\n1 date=now\n") != NULL);
        CHECK(strstr(self.answers, "1 closed 0\n") != NULL);
        CHECK(piece < 64 || strstr(self.answers, "1 body hello\n1 closed 0\n") != NULL);
        CHECK(strstr(self.answers, "3 closed 0\n") != NULL);
        CHECK(strstr(self.answers, "connection") == NULL);
        CHECK(self.protocol->ops->state(self.protocol) == TRI_PROTOCOL_IDLE);
        stop(&self);
    }
}

/* A body comes no further than its window until it is taken. */
static void test_window(void)
{
    pair self;
    start(&self, 0);
    size_t left = 100000;
    CHECK(post(&self, &left) == 1);
    carry(&self, 2000);
    CHECK(left == 100000 - 65535 && strstr(self.events, "1 3\n") == NULL);
    CHECK(self.protocol->ops->consumed(self.protocol, 1, 65535) == 0);
    carry(&self, 2000);
    CHECK(left == 0 && strstr(self.events, "1 3\n") != NULL);
    CHECK(strstr(self.answers, "1 closed 0\n") != NULL);
    stop(&self);
}

/* A stream that is given up is told of, and others go on. */
static void test_reset(void)
{
    pair self;
    start(&self, 0);
    self.by_hand = true;
    CHECK(get(&self) == 1 && get(&self) == 3);
    carry(&self, 500);
    CHECK(nghttp2_submit_rst_stream(self.client, NGHTTP2_FLAG_NONE, 1, NGHTTP2_CANCEL) == 0);
    carry(&self, 500);
    CHECK(strstr(self.events, "1 5\n") != NULL);
    tri_response response = { .status = 200 };
    CHECK(self.protocol->ops->submit_head(self.protocol, 1, &response) == TRI_ESTATE);
    answer(&self, 3);
    carry(&self, 500);
    CHECK(self.error == 0 && strstr(self.answers, "3 body hello\n3 closed 0\n") != NULL);
    stop(&self);
}

/* Malformed requests end their stream, without an event. */
static void test_malformed(void)
{
    const nghttp2_nv bad[] = { NV("connection", "close"), NV("te", "gzip"),    NV("host", "b.example"),
                               NV("UPPER", "x"),          NV(":path", "/two"), NV("content-length", "x") };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pair self;
        start(&self, 0);
        nghttp2_nv nv[] = { NV(":method", "GET"), NV(":scheme", "http"), NV(":authority", "a.example"),
                            NV(":path", "/"), bad[i] };
        CHECK(nghttp2_submit_request(self.client, NULL, nv, 5, NULL, NULL) == 1);
        carry(&self, 500);
        bool same = i == 3; /* the client itself writes names in lower case */
        CHECK((strstr(self.events, "1 1") != NULL) == same);
        CHECK((strstr(self.answers, "1 closed 1\n") != NULL) == !same);
        stop(&self);
    }
}

/* A head with too many fields gets 431, and the connection goes on. */
static void test_too_large(void)
{
    pair self;
    start(&self, 0);
    self.limits.fields = 3;
    nghttp2_nv nv[] = { NV(":method", "GET"), NV(":scheme", "http"), NV(":authority", "a.example"),
                        NV(":path", "/"),     NV("a", "1"),          NV("b", "2"),
                        NV("c", "3") };
    CHECK(nghttp2_submit_request(self.client, NULL, nv, 7, NULL, NULL) == 1);
    CHECK(get(&self) == 3);
    carry(&self, 500);
    CHECK(strstr(self.answers, "1 :status=431\n1 closed 0\n") != NULL);
    CHECK(strstr(self.answers, "3 :status=200\n") != NULL && strstr(self.events, "1 1") == NULL);
    stop(&self);
}

/* What is not HTTP/2 ends the connection. */
static void test_no_preface(void)
{
    pair self;
    start(&self, 0);
    char text[] = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    CHECK(self.protocol->ops->recv(self.protocol, text, sizeof text - 1) >= 0);
    pull(&self);
    CHECK(self.events[0] == '\0');
    CHECK(self.protocol->ops->state(self.protocol) & TRI_PROTOCOL_CLOSE);
    stop(&self);
}

/* A shutdown is told, and what is at work is answered first. */
static void test_shutdown(void)
{
    pair self;
    start(&self, 0);
    self.by_hand = true;
    CHECK(get(&self) == 1);
    carry(&self, 500);
    self.protocol->ops->shutdown(self.protocol);
    CHECK(!(self.protocol->ops->state(self.protocol) & TRI_PROTOCOL_CLOSE));
    answer(&self, 1);
    carry(&self, 500);
    CHECK(strstr(self.answers, "1 closed 0\n") != NULL);
    CHECK(self.protocol->ops->state(self.protocol) & TRI_PROTOCOL_CLOSE);
    stop(&self);
}

/* Each allocation may fail: TRI_ENOMEM, and nothing leaks. */
static void test_faults(void)
{
    bool failing = true;
    for (size_t at = 1; failing && at < 400; at++) {
        pair self;
        start(&self, at);
        size_t bytes = 10;
        CHECK(get(&self) == 1 && post(&self, &bytes) == 3);
        carry(&self, 500);
        failing = self.mem.requests >= at;
        CHECK(self.error == 0 || self.error == TRI_ENOMEM);
        CHECK(failing || self.error == 0);
        stop(&self);
    }
    CHECK(!failing);
}

int main(void)
{
    test_requests();
    test_window();
    test_reset();
    test_malformed();
    test_too_large();
    test_no_preface();
    test_shutdown();
    test_faults();
    return check_report();
}
