/* HTTP/2 where memory runs out, in every call that asks for any; and calls that are made at odd times. */
#include "http2_pair.h"

enum { HEAD = NGHTTP2_FLAG_END_HEADERS, END = NGHTTP2_FLAG_END_STREAM, MOST = 1200 };

#define CONNECT                                                                 \
    TRI_SPAN("\x02\x07"                                                         \
             "CONNECT\x86\x04\x05/chat\x41\x01"                                 \
             "a\x40\x09:protocol\x09websocket\x40\x15sec-websocket-version\x02" \
             "13")

static const tri_protocol_ops *ops_of(const pair *self)
{
    return self->protocol->ops;
}

/* Greets the server, which may fail. */
static void greet(pair *self)
{
    feed(self, TRI_HTTP2_PREFACE, sizeof TRI_HTTP2_PREFACE - 1, SIZE_MAX);
    frame(self, NGHTTP2_SETTINGS, 0, 0, (tri_span){ NULL, 0 });
    frame(self, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (tri_span){ NULL, 0 });
}

/* Notes what a call gave that is not made once another has failed. */
#define TRY(self, call)           \
    do {                          \
        if ((self)->error == 0)   \
            failed(self, (call)); \
    } while (0)

/* --- what fails --- */

/* Cookies that become one, in more bytes than a head has to begin with. */
static void join(pair *self)
{
    static char long_value[400];
    memset(long_value, 'c', sizeof long_value);
    nghttp2_nv nv[8] = { NV(":method", "GET"), NV(":scheme", "http"), NV(":authority", "a"), NV(":path", "/") };
    for (size_t i = 4; i < 8; i++) {
        nv[i] = (nghttp2_nv)NV("cookie", "");
        nv[i].value = (uint8_t *)long_value;
        nv[i].valuelen = sizeof long_value;
    }
    CHECK(ask(self, nv, 8, NULL) == 1);
    carry(self, 500);
}

/* An authority and fields that each need more room than there is. */
static void stretch(pair *self)
{
    static char value[3000];
    memset(value, 'v', sizeof value);
    nghttp2_nv nv[6] = { NV(":method", "GET"), NV(":scheme", "http"), NV(":path", "/"),
                         NV(":authority", ""), NV("a", ""),           NV("b", "") };
    for (size_t i = 3; i < 6; i++) {
        nv[i].value = (uint8_t *)value;
        nv[i].valuelen = i == 3 ? 700 : i == 4 ? 1500 : sizeof value;
    }
    CHECK(ask(self, nv, 6, NULL) == 1);
    carry(self, SIZE_MAX);
}

/* A request that waits for a word, and has its answer before its body. */
static void go_on(pair *self)
{
    static size_t left;
    left = 3000;
    self->by_hand = true;
    const nghttp2_nv nv[] = { NV(":method", "POST"), NV(":scheme", "http"), NV(":authority", "a"), NV(":path", "/"),
                              NV("expect", "100-continue") };
    CHECK(ask(self, nv, 5, &left) == 1);
    const uint8_t *bytes = NULL;
    for (int i = 0; i < 3 && self->error == 0; i++) { /* the head alone */
        ssize_t n = nghttp2_session_mem_send(self->client, &bytes);
        feed(self, bytes, n > 0 && n < 100 ? (size_t)n : 0, SIZE_MAX);
    }
    TRY(self, ops_of(self)->submit_continue(self->protocol, 1));
    TRY(self, ops_of(self)->submit_continue(self->protocol, 1));
    carry(self, 500);
    TRY(self, begin(self, 1, 200));
    TRY(self, put(self, 1, "hello", true));
    carry(self, 500);
}

/* Bodies that nobody has taken, on streams that are ended in every way. */
static void end_all(pair *self)
{
    static char body[16000];
    self->by_hand = true;
    self->limits.h2_connection_window = 65535;
    greet(self);
    for (uint32_t why = TRI_RESET_DONE; why <= TRI_RESET_CANCEL; why++) {
        uint32_t id = 2 * why + 1;
        frame(self, NGHTTP2_HEADERS, HEAD, id, RAW_POST);
        frame(self, NGHTTP2_DATA, 0, id, (tri_span){ body, sizeof body });
        TRY(self, begin(self, id, 200));
        TRY(self, put(self, id, "hello", why == TRI_RESET_DONE));
        TRY(self, ops_of(self)->reset(self->protocol, id, (enum tri_reset)why));
        carry(self, SIZE_MAX);
    }
}

/* A body that is taken, so that windows are given back. */
static void take(pair *self)
{
    static size_t left;
    left = 300000;
    self->taking = true;
    self->limits.h2_window = 65535;
    self->limits.h2_connection_window = 65535;
    CHECK(post(self, &left) == 1);
    carry(self, 4000);
}

/* A tunnel, of which bytes come early. */
static void tunnel(pair *self)
{
    self->by_hand = true;
    greet(self);
    frame(self, NGHTTP2_HEADERS, HEAD, 1, CONNECT);
    frame(self, NGHTTP2_DATA, 0, 1, TRI_SPAN("early"));
    const tri_response response = { .status = 101 };
    TRY(self, ops_of(self)->submit_upgrade(self->protocol, 1, &response, TRI_SPAN("websocket")));
    carry(self, SIZE_MAX);
    for (int i = 0; i < 3 && self->error == 0; i++) {
        tri_chain *out = ops_of(self)->tunnel(self->protocol, 1);
        TRY(self, out == NULL ? TRI_ECLOSED : tri_chain_copy(out, &self->chains, TRI_SPAN("ours")));
        carry(self, SIZE_MAX);
        frame(self, NGHTTP2_DATA, i == 2 ? END : 0, 1, TRI_SPAN("theirs"));
    }
    TRY(self, put(self, 1, "", true));
    carry(self, SIZE_MAX);
}

/* A stop, which is told by the state alone when it has failed. */
static void shut(pair *self)
{
    if (self->error != 0)
        return;
    ops_of(self)->shutdown(self->protocol);
    if (self->mem.fail_at != 0 && self->mem.requests >= self->mem.fail_at && state_of(self) & TRI_PROTOCOL_CLOSE)
        self->error = TRI_ENOMEM;
}

/* A stop amid a request, which is answered. */
static void leave(pair *self)
{
    self->by_hand = true;
    CHECK(get(self) == 1);
    carry(self, 500);
    shut(self);
    shut(self);
    TRY(self, begin(self, 1, 200));
    TRY(self, put(self, 1, "hello", true));
    carry(self, 500);
}

/* A stop before the client has said anything, and again when it has. */
static void leave_unused(pair *self)
{
    shut(self);
    carry(self, 500);
    shut(self);
    carry(self, 500);
}

/* The peer ends its side, with requests that are not complete. */
static void cut(pair *self)
{
    self->by_hand = true;
    greet(self);
    frame(self, NGHTTP2_HEADERS, HEAD, 1, RAW_POST);
    frame(self, NGHTTP2_HEADERS, HEAD | END, 3, RAW_GET);
    frame(self, NGHTTP2_HEADERS, 0, 5, RAW_GET);
    TRY(self, ops_of(self)->recv_eof(self->protocol));
    carry(self, SIZE_MAX);
}

/* Pings and settings, of which there are too many in the end. */
static void flood(pair *self)
{
    self->limits.h2_pings = 40;
    greet(self);
    frame(self, NGHTTP2_HEADERS, HEAD, 1, RAW_POST);
    for (int i = 0; i < 42; i++)
        frame(self, NGHTTP2_PING, 0, 0, TRI_SPAN("12345678"));
    carry(self, SIZE_MAX);
    if (self->error == 0)
        CHECK(saw(self->frames, "GOAWAY"));
}

/* What is not HTTP/2. */
static void stray(pair *self)
{
    char text[] = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    feed(self, text, sizeof text - 1, SIZE_MAX);
    carry(self, SIZE_MAX);
}

/* Heads that are turned away, and refused. */
static void turn_away(pair *self)
{
    self->limits.fields = 3;
    greet(self);
    frame(self, NGHTTP2_HEADERS, HEAD | END, 1, TRI_SPAN("\x82\x84\x86\x41\x02/a"));
    frame(self, NGHTTP2_HEADERS, HEAD | END, 3,
          TRI_SPAN("\x82\x84\x86\x41\x01"
                   "a\0\1a\0\0\1b\0\0\1c\0\0\1d\0"));
    frame(self, NGHTTP2_HEADERS, HEAD | END, 5,
          TRI_SPAN("\x82\x86\x41\x01"
                   "a\x04\x02/\x7f"));
    carry(self, SIZE_MAX);
}

/* Runs it with each allocation failing: TRI_ENOMEM, and nothing leaks. */
static void fail_each(void (*scenario)(pair *), bool has_client)
{
    bool failing = true;
    for (size_t at = 1; failing && at < MOST; at++) {
        pair self;
        if (has_client)
            start(&self, at);
        else
            start_server(&self, at);
        scenario(&self);
        failing = self.mem.requests >= at;
        CHECK(self.error == 0 || self.error == TRI_ENOMEM || self.error == TRI_ECLOSED);
        CHECK(failing || self.error == 0);
        stop(&self);
    }
    CHECK(!failing);
}

static void test_faults(void)
{
    fail_each(join, true);
    fail_each(stretch, true);
    fail_each(go_on, true);
    fail_each(end_all, false);
    fail_each(take, true);
    fail_each(tunnel, false);
    fail_each(leave, true);
    fail_each(leave_unused, true);
    fail_each(cut, false);
    fail_each(flood, false);
    fail_each(stray, false);
    fail_each(turn_away, false);
}

/* --- odd times --- */

/* A connection that has failed says nothing, and takes nothing. */
static void test_failed(void)
{
    pair self;
    start_raw(&self);
    self.by_hand = true;
    frame(&self, NGHTTP2_HEADERS, HEAD | END, 1, RAW_GET);
    self.mem.fail_at = self.mem.requests + 1;
    CHECK(begin(&self, 1, 200) == TRI_ENOMEM || put(&self, 1, "x", true) == TRI_ENOMEM
          || (state_of(&self) & TRI_PROTOCOL_CLOSE));
    self.mem.fail_at = 0;
    self.mem.fail_at = self.mem.requests + 1;
    self.mem.fail_more = SIZE_MAX / 2;
    char head[] = "\0\0\6\1\5\0\0\0\3\x82\x84\x86\x41\1a";
    CHECK(self.protocol->ops->recv(self.protocol, head, sizeof head - 1) == TRI_ENOMEM);
    self.mem.fail_at = 0;
    tri_event event;
    self.protocol->ops->next_event(self.protocol, &event);
    CHECK(self.protocol->ops->recv(self.protocol, head, sizeof head - 1) == TRI_ENOMEM);
    CHECK(state_of(&self) & TRI_PROTOCOL_CLOSE);
    self.protocol->ops->shutdown(self.protocol);
    CHECK(begin(&self, 1, 200) == TRI_ECLOSED && self.protocol->ops->reset(self.protocol, 1, TRI_RESET_FAILED) == 0);
    stop(&self);
}

/* An answer that could not be begun for want of memory may be begun again: its length is told once. */
static void test_begun_again(void)
{
    pair self;
    start(&self, 0);
    self.by_hand = true;
    CHECK(get(&self) == 1);
    carry(&self, SIZE_MAX);
    CHECK(begin(&self, 1, 200) == 0);
    self.mem.fail_more = SIZE_MAX / 2;
    self.mem.fail_at = self.mem.requests + 1;
    for (int i = 0; i < 20; i++)
        CHECK(put(&self, 1, "hello", true) == TRI_ENOMEM);
    self.mem.fail_at = 0;
    CHECK(put(&self, 1, "hi", true) == 0);
    carry(&self, SIZE_MAX);
    CHECK(saw(self.answers, "1 content-length=2\n") && times(self.answers, "content-length") == 1);
    CHECK(saw(self.answers, "1 body hi\n") && saw(self.answers, "1 closed 0\n"));
    stop(&self);
}

/* While a body waits to be told of, nothing more is read. */
static void test_untold(void)
{
    pair self;
    start_raw(&self);
    self.by_hand = true;
    frame(&self, NGHTTP2_HEADERS, HEAD, 1, RAW_POST);
    char data[] = "\0\0\3\0\1\0\0\0\1abc";
    CHECK(self.protocol->ops->recv(self.protocol, data, sizeof data - 1) > 0);
    CHECK(self.protocol->ops->recv(self.protocol, data, sizeof data - 1) == 0);
    pull(&self);
    CHECK(saw(self.events, "1 2\n") && saw(self.events, "1 3\n"));
    stop(&self);
}

/* Streams that there cannot be. */
static void test_no_stream(void)
{
    static const uint32_t ids[] = { 0, 2, 7, UINT32_C(0x80000001), UINT32_MAX };
    pair self;
    start_raw(&self);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        CHECK(self.protocol->ops->waiting(self.protocol, ids[i]) == 0);
        CHECK(self.protocol->ops->consumed(self.protocol, ids[i], 1) == 0);
        CHECK(self.protocol->ops->tunnel(self.protocol, ids[i]) == NULL);
        CHECK(begin(&self, ids[i], 200) == TRI_ECLOSED && put(&self, ids[i], "x", true) == TRI_ECLOSED);
    }
    stop(&self);
}

/* Names that are as long as those that mean something, or nearly them. */
static void test_names_alike(void)
{
    pair self;
    start_raw(&self);
    frame(&self, NGHTTP2_HEADERS, HEAD | END, 1,
          TRI_SPAN("\x82\x84\x86\x41\x01"
                   "a\0\2ta\1b\0\6cookia\1b\0\6expecu\1b\0\16content-lengti\1b\0\4hosu\1b\0\1x\0"));
    CHECK(saw(self.events, " ta=b cookia=b expecu=b content-lengti=b hosu=b x=\n"));
    frame(&self, NGHTTP2_HEADERS, HEAD, 3,
          TRI_SPAN("\x83\x84\x86\x41\x01"
                   "a\0\6expect\1b\0\6expect\x0c"
                   "100-continue"));
    CHECK(saw(self.events, "3 4 417 an expectation is not known\n"));
    stop(&self);
}

/* Ready lines that are none, and what is wrong amid an answer's fields. */
static void test_lines_that_are_none(void)
{
    static const tri_span wrong[] = { TRI_SPAN("date: now"), TRI_SPAN("date\r\n"), TRI_SPAN("date\r\n:"),
                                      TRI_SPAN("a b: c\r\n"), TRI_SPAN(": c\r\n") };
    pair self;
    start_raw(&self);
    self.by_hand = true;
    frame(&self, NGHTTP2_HEADERS, HEAD | END, 1, RAW_GET);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const tri_response response = { .status = 200, .date = wrong[i] };
        CHECK(self.protocol->ops->submit_head(self.protocol, 1, &response) == TRI_EINVAL);
    }
    const tri_field_out fields[] = { { TRI_SPAN("etag"), TRI_SPAN("") },
                                     { TRI_SPAN("b\n"), TRI_SPAN("c") },
                                     { TRI_SPAN("d"), TRI_SPAN("e") } };
    const tri_response bad = { .status = 200, .fields = fields, .n_fields = 3 };
    CHECK(self.protocol->ops->submit_head(self.protocol, 1, &bad) == TRI_EINVAL);
    const tri_response good = { .status = 200, .fields = fields, .n_fields = 1 };
    CHECK(self.protocol->ops->submit_head(self.protocol, 1, &good) == 0 && put(&self, 1, "hi", true) == 0);
    carry(&self, SIZE_MAX);
    CHECK(saw(self.frames, "DATA 1 n=2 flags=1\n"));
    stop(&self);
}

/* Trailers of streams beside others that were left out; and of such as nobody reads any more. */
static void test_trailers(void)
{
    pair self;
    start_raw(&self);
    self.by_hand = true;
    self.limits.trailers = 10;
    frame(&self, NGHTTP2_HEADERS, HEAD, 1, RAW_POST);
    frame(&self, NGHTTP2_HEADERS, HEAD, 9, RAW_POST);
    frame(&self, NGHTTP2_HEADERS, HEAD | END, 1, TRI_SPAN("\0\1a\1b"));
    CHECK(saw(self.events, "1 3\n"));
    CHECK(self.protocol->ops->reset(self.protocol, 9, TRI_RESET_DONE) == 0);
    frame(&self, NGHTTP2_HEADERS, HEAD | END, 9, TRI_SPAN("\0\1a\x0dlonger than 10"));
    CHECK(!saw(self.events, " 431 ") && self.error == 0);
    stop(&self);
}

/* Trailers far beyond what is read end the connection. */
static void test_endless_trailers(void)
{
    static char field[4 + 120 + 4000];
    pair self;
    start_raw(&self);
    self.limits.trailers = 10;
    self.limits.head = 1000;
    memcpy(field, "\0\1a\x7f\xa1\x1e", 6); /* a value of 4000 bytes */
    memset(field + 6, 'v', 4000);
    frame(&self, NGHTTP2_HEADERS, HEAD, 1, RAW_POST);
    frame(&self, NGHTTP2_HEADERS, HEAD | END, 1, (tri_span){ field, 4006 });
    carry(&self, SIZE_MAX);
    CHECK(saw(self.frames, "GOAWAY") && saw(self.events, "0 4 0 "));
    stop(&self);
}

/* Trailers that are too long, of a request that is refused already: for its body. */
static void test_trailers_of_the_refused(void)
{
    static const char both[] = "\0\0\5\0\0\0\0\0\1hello\0\0\x11\1\5\0\0\0\1\0\1a\x0dlonger than 10";
    pair self;
    start_raw(&self);
    self.limits.trailers = 10;
    self.limits.body = 3;
    frame(&self, NGHTTP2_HEADERS, HEAD, 1, RAW_POST);
    feed(&self, both, sizeof both - 1, SIZE_MAX);
    CHECK(saw(self.events, "1 4 413 ") && !saw(self.events, " 431 ") && self.error == 0);
    stop(&self);
}

/* Far more fields than are served end the connection. */
static void test_fields_without_end(void)
{
    enum { FIELDS = 64 };
    char section[6 + FIELDS * 4];
    pair self;
    start_raw(&self);
    self.limits.fields = 3;
    memcpy(section, RAW_GET.p, 6);
    for (size_t i = 0; i < FIELDS; i++)
        memcpy(section + 6 + i * 4, "\0\1a\0", 4);
    frame(&self, NGHTTP2_HEADERS, HEAD | END, 1, (tri_span){ section, sizeof section });
    CHECK(self.error == TRI_ENOMEM || saw(self.events, "0 4 0 "));
    stop(&self);
}

/* Bytes of a path that are none of its characters. */
static void test_paths(void)
{
    static const tri_span heads[] = { TRI_SPAN("\x82\x86\x41\1a\4\2/\x7f"), TRI_SPAN("\x82\x86\x41\1a\4\2/\xff"),
                                      TRI_SPAN("\x82\x86\x41\1a\4\2/#") };
    pair self;
    start_raw(&self);
    for (uint32_t i = 0; i < 3; i++)
        frame(&self, NGHTTP2_HEADERS, HEAD | END, 2 * i + 1, heads[i]);
    carry(&self, SIZE_MAX);
    CHECK(self.events[0] == '\0' && times(self.frames, "RST_STREAM") == 3);
    stop(&self);
}

/* A body that waits to be told of when its stream is ended. */
static void test_ended_untold(void)
{
    pair self;
    start_raw(&self);
    self.by_hand = true;
    frame(&self, NGHTTP2_HEADERS, HEAD, 1, RAW_POST);
    char data[] = "\0\0\3\0\0\0\0\0\1abc";
    CHECK(self.protocol->ops->recv(self.protocol, data, sizeof data - 1) > 0);
    CHECK(self.protocol->ops->reset(self.protocol, 1, TRI_RESET_CANCEL) == 0);
    carry(&self, SIZE_MAX);
    pull(&self);
    CHECK(!saw(self.events, "1 2\n") && saw(self.frames, "RST_STREAM 1 "));
    stop(&self);
}

/* A stream that its peer has reset is over for whoever works on it. */
static void test_over(void)
{
    pair self;
    start_raw(&self);
    self.by_hand = true;
    frame(&self, NGHTTP2_HEADERS, HEAD, 1, CONNECT);
    frame(&self, NGHTTP2_HEADERS, HEAD, 3, RAW_POST);
    const tri_response response = { .status = 101 };
    CHECK(self.protocol->ops->submit_upgrade(self.protocol, 1, &response, TRI_SPAN("websocket")) == 0);
    CHECK(self.protocol->ops->tunnel(self.protocol, 1) != NULL && self.protocol->ops->tunnel(self.protocol, 1) != NULL);
    carry(&self, SIZE_MAX);
    for (uint32_t id = 1; id <= 3; id += 2)
        frame(&self, NGHTTP2_RST_STREAM, 0, id, TRI_SPAN("\0\0\0\x08"));
    CHECK(saw(self.events, "1 5\n") && saw(self.events, "3 5\n"));
    CHECK(self.protocol->ops->tunnel(self.protocol, 1) == NULL && put(&self, 1, "x", false) == TRI_ECLOSED);
    CHECK(begin(&self, 3, 200) == TRI_ECLOSED);
    CHECK(self.protocol->ops->reset(self.protocol, 1, TRI_RESET_DONE) == 0);
    stop(&self);
}

/* More answers than nghttp2 keeps, asked for in one read where nothing else bounds them, end the connection. */
static void test_answers_without_end(void)
{
    enum { PINGS = 15000, PING = 17 };
    static char pings[PINGS * PING];
    pair self;
    start_raw(&self);
    self.limits.h2_pings = 0;
    for (size_t i = 0; i < PINGS; i++)
        memcpy(pings + i * PING,
               "\0\0\x08\6\0\0\0\0\0"
               "12345678",
               PING);
    self.frames[0] = '\0';
    char *page = check_page_reuse(pings, sizeof pings);
    CHECK(self.protocol->ops->recv(self.protocol, page, sizeof pings) > 0);
    pull(&self);
    CHECK(saw(self.events, "0 4 0 ") && (state_of(&self) & TRI_PROTOCOL_CLOSE || !saw(self.events, "0 1 ")));
    stop(&self);
}

int main(void)
{
    test_faults();
    test_failed();
    test_begun_again();
    test_untold();
    test_no_stream();
    test_names_alike();
    test_lines_that_are_none();
    test_trailers();
    test_endless_trailers();
    test_trailers_of_the_refused();
    test_fields_without_end();
    test_paths();
    test_ended_untold();
    test_over();
    test_answers_without_end();
    return check_report();
}
