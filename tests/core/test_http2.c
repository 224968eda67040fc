/* HTTP/2's requests: what events come of them, and which are refused or reset. */
#include "http2_pair.h"

/* Two requests at once, in pieces of any size. */
static void test_requests(void)
{
    for (size_t piece = 1; piece < 3000; piece = piece * 2 + 1) {
        pair self;
        start(&self, 0);
        size_t bytes = 10;
        CHECK(get(&self) == 1 && post(&self, &bytes) == 3);
        carry(&self, piece);
        CHECK(self.error == 0 && self.body == 10);
        CHECK(saw(self.events, "1 1 GET path=/x query=y=1 host=a.example te=trailers\n"));
        CHECK(saw(self.events, "3 1 POST path=/ query= host=a.example\n") && saw(self.events, "3 3\n"));
        CHECK(saw(self.answers, "1 :status=200\n1 content-type=text/plain\n1 date=now\n1 content-length=5\n"));
        CHECK(saw(self.answers, "1 closed 0\n") && saw(self.answers, "3 closed 0\n"));
        CHECK(piece < 64 || saw(self.answers, "1 body hello\n1 closed 0\n"));
        CHECK(!saw(self.answers, "connection"));
        CHECK(state_of(&self) == TRI_PROTOCOL_IDLE);
        stop(&self);
    }
}

/* A body comes no further than its window until it is taken. */
static void test_window(void)
{
    pair self;
    start(&self, 0);
    self.limits.h2_window = 70000;
    carry(&self, 2000);
    size_t left = 100000;
    CHECK(post(&self, &left) == 1);
    carry(&self, 2000);
    CHECK(left == 100000 - 70000 && !saw(self.events, "1 3\n"));
    CHECK(self.protocol->ops->consumed(self.protocol, 1, 70000) == 0);
    CHECK(self.protocol->ops->consumed(self.protocol, 1, 1) == 0); /* more than there is to take */
    CHECK(self.protocol->ops->consumed(self.protocol, 7, 1) == 0);
    carry(&self, 2000);
    CHECK(left == 0 && saw(self.events, "1 3\n") && saw(self.answers, "1 closed 0\n"));
    stop(&self);
}

/* Bodies that nobody takes do not fill the connection's window once their streams are over. */
static void test_window_returned(void)
{
    pair self;
    start(&self, 0);
    self.limits.h2_connection_window = 100000;
    self.limits.h2_window = 65535;
    for (uint32_t id = 1; id < 20; id += 2) {
        size_t left = 60000;
        CHECK(post(&self, &left) == (int32_t)id);
        carry(&self, 20000);
        CHECK(left == 0);
    }
    CHECK(self.error == 0 && times(self.answers, "closed 0\n") == 10);
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
    CHECK(saw(self.events, "1 5\n"));
    CHECK(begin(&self, 1, 200) == TRI_ECLOSED && put(&self, 1, "", true) == TRI_ECLOSED);
    answer(&self, 3, 200);
    carry(&self, 500);
    CHECK(self.error == 0 && saw(self.answers, "3 body hello\n3 closed 0\n"));
    stop(&self);
}

/* One that is given up before it was told is never heard of. */
static void test_reset_untold(void)
{
    pair self;
    start_raw(&self);
    const char bytes[] = "\0\0\6\1\5\0\0\0\1\x82\x84\x86\x41\x01"
                         "a\0\0\4\3\0\0\0\0\1\0\0\0\x8";
    feed(&self, bytes, sizeof bytes - 1, SIZE_MAX);
    CHECK(self.events[0] == '\0' && self.error == 0 && state_of(&self) == TRI_PROTOCOL_IDLE);
    stop(&self);
}

/* The peer ends its side: what is not whole is given up, what is whole is answered. */
static void test_eof(void)
{
    pair self;
    start_raw(&self);
    self.by_hand = true;
    CHECK(self.protocol->ops->recv_eof(self.protocol) == 0);
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, RAW_GET);
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3, RAW_POST);
    frame(&self, NGHTTP2_HEADERS, 0, 5, RAW_POST);
    CHECK(self.protocol->ops->recv_eof(self.protocol) == 0);
    pull(&self);
    CHECK(saw(self.events, "3 5\n") && !saw(self.events, "1 5\n") && !saw(self.events, "5 "));
    CHECK(!(state_of(&self) & TRI_PROTOCOL_CLOSE));
    answer(&self, 1, 200);
    carry(&self, SIZE_MAX);
    CHECK(saw(self.frames, "DATA 1 n=5 flags=1\n") && (state_of(&self) & TRI_PROTOCOL_CLOSE));
    stop(&self);
}

/* What comes of a request that has one field more: nothing, or an answer. */
static void with_field(nghttp2_nv field, const char *answered)
{
    pair self;
    start(&self, 0);
    nghttp2_nv nv[] = { NV(":method", "POST"), NV(":scheme", "http"), NV(":authority", "a.example"), NV(":path", "/"),
                        field };
    size_t bytes = 5;
    CHECK(ask(&self, nv, 5, &bytes) == 1 && get(&self) == 3);
    carry(&self, 500);
    CHECK(saw(self.events, "1 1") == (answered == NULL || strcmp(answered, "200") == 0));
    CHECK(saw(self.answers, "3 body hello\n3 closed 0\n"));
    char line[32];
    snprintf(line, sizeof line, "1 :status=%s\n", answered == NULL ? "200" : answered);
    CHECK(answered == NULL ? saw(self.answers, "1 :status=200\n") : saw(self.answers, line) || answered[0] == '-');
    CHECK(answered == NULL || answered[0] != '-' || saw(self.answers, "1 closed 1\n"));
    stop(&self);
}

/* Malformed requests end their stream, without an event; those that cannot be met are answered. */
static void test_fields(void)
{
    static const nghttp2_nv malformed[] = {
        NV("connection", "close"),
        NV("keep-alive", "1"),
        NV("proxy-connection", "x"),
        NV("upgrade", "x"),
        NV("transfer-encoding", "x"),
        NV("te", "gzip"),
        NV("host", "b.example"),
        NV("host", "a@b"),
        NV(":path", "/two"),
        NV(":odd", "x"),
        NV("content-length", "x"),
        NV("x", "a\rb"),
        NV("x", "a\nb"),
        NV("x", " a"),
        NV("a b", "x"),
        NV("x", "a\x7f"),
        NV("content-length", ""),
        NV("", "x"),
        NV("content-length", "99999999999999999999"),
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        with_field(malformed[i], "-");
    with_field((nghttp2_nv)NV("expect", "magic"), "417");
    with_field((nghttp2_nv)NV("expect", "100-Continue"), NULL);
    with_field((nghttp2_nv)NV("host", "a.example"), NULL);
    with_field((nghttp2_nv)NV("content-length", "5"), NULL);
    with_field((nghttp2_nv)NV("x", "\xff"), NULL);
}

/* A body must be as long as its content-length says, which shows only after the head was told. */
static void test_length(void)
{
    static const nghttp2_nv lengths[] = { NV("content-length", "4"), NV("content-length", "6") };
    for (size_t i = 0; i < 2; i++) {
        pair self;
        start(&self, 0);
        nghttp2_nv nv[] = { NV(":method", "POST"), NV(":scheme", "http"), NV(":authority", "a.example"),
                            NV(":path", "/"), lengths[i] };
        size_t bytes = 5;
        CHECK(ask(&self, nv, 5, &bytes) == 1);
        carry(&self, 500);
        CHECK(saw(self.events, "1 5\n") && !saw(self.events, "1 3\n") && saw(self.answers, "1 closed 1\n"));
        CHECK(state_of(&self) == TRI_PROTOCOL_IDLE);
        stop(&self);
    }
}

/* What comes of pseudo-headers: the status of an answer, 0 for a reset. */
static void with_pseudo(const nghttp2_nv nv[4], size_t n, int status)
{
    pair self;
    start(&self, 0);
    CHECK(ask(&self, nv, n, NULL) == 1 && get(&self) == 3);
    carry(&self, 500);
    char line[32];
    snprintf(line, sizeof line, "1 :status=%d\n", status);
    CHECK(status == 0 ? saw(self.answers, "1 closed 1\n") : saw(self.answers, line));
    CHECK(saw(self.events, "1 1 ") == (status == 200));
    CHECK(saw(self.answers, "3 body hello\n3 closed 0\n"));
    stop(&self);
}

static void test_pseudo(void)
{
#define METHOD NV(":method", "GET")
#define SCHEME NV(":scheme", "http")
#define AUTHORITY NV(":authority", "a.example")
#define PATH NV(":path", "/")
    const struct {
        nghttp2_nv nv[4];
        size_t n;
        int status;
    } cases[] = {
        { { METHOD, SCHEME, AUTHORITY, PATH }, 4, 200 },
        { { METHOD, SCHEME, NV("host", "a"), PATH }, 4, 0 }, /* a field before a pseudo-header */
        { { METHOD, SCHEME, PATH, NV("host", "a") }, 4, 200 },
        { { METHOD, SCHEME, PATH }, 3, 0 },
        { { METHOD, SCHEME, AUTHORITY }, 3, 0 },
        { { METHOD, AUTHORITY, PATH }, 3, 0 },
        { { SCHEME, AUTHORITY, PATH }, 3, 0 },
        { { METHOD, METHOD, AUTHORITY, PATH }, 4, 0 },
        { { METHOD, SCHEME, AUTHORITY, NV(":path", "") }, 4, 0 },
        { { METHOD, SCHEME, AUTHORITY, NV(":path", "*") }, 4, 0 },
        { { NV(":method", "OPTIONS"), SCHEME, AUTHORITY, NV(":path", "*") }, 4, 200 },
        { { METHOD, SCHEME, AUTHORITY, NV(":path", "x") }, 4, 0 },
        { { METHOD, SCHEME, AUTHORITY, NV(":path", "http://a/") }, 4, 0 },
        { { METHOD, SCHEME, AUTHORITY, NV(":path", "/a#b") }, 4, 0 },
        { { METHOD, SCHEME, AUTHORITY, NV(":path", "/a b") }, 4, 0 },
        { { METHOD, SCHEME, AUTHORITY, NV(":path", "/\xff") }, 4, 0 },
        { { METHOD, SCHEME, AUTHORITY, NV(":path", "/\x01") }, 4, 0 },
        { { METHOD, SCHEME, NV(":authority", "u@a"), PATH }, 4, 0 },
        { { METHOD, SCHEME, NV(":authority", "a:99999"), PATH }, 4, 0 },
        { { METHOD, NV(":scheme", "HTTPS"), AUTHORITY, PATH }, 4, 200 },
        { { METHOD, NV(":scheme", "ftp"), AUTHORITY, PATH }, 4, 400 },
        { { NV(":method", "G T"), SCHEME, AUTHORITY, PATH }, 4, 0 },
        { { NV(":method", "CONNECT"), AUTHORITY }, 2, 501 },
        { { NV(":method", "CONNECT"), SCHEME, AUTHORITY, PATH }, 4, 0 },
        { { NV(":method", "head"), SCHEME, AUTHORITY, PATH }, 4, 501 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        with_pseudo(cases[i].nv, cases[i].n, cases[i].status);
}

/* Cookies in several fields are one again, where the first stood. */
static void test_cookies(void)
{
    pair self;
    start(&self, 0);
    char large[3000];
    memset(large, 'c', sizeof large);
    nghttp2_nv nv[] = {
        METHOD,       SCHEME,          AUTHORITY, PATH, NV("cookie", "a=1"), NV("x", "y"), NV("cookie", "b=2"),
        NV("z", "w"), NV("cookie", "")
    };
    CHECK(ask(&self, nv, 9, NULL) == 1);
    nv[8].value = (uint8_t *)large;
    nv[8].valuelen = sizeof large;
    CHECK(ask(&self, nv, 9, NULL) == 3);
    CHECK(ask(&self, nv, 5, NULL) == 5);
    carry(&self, 700);
    CHECK(saw(self.events, "1 1 GET path=/ query= host=a.example cookie=a=1; b=2;  x=y z=w\n"));
    CHECK(saw(self.events, "3 1 GET path=/ query= host=a.example cookie=a=1; b=2; ccc")
          && saw(self.events, "ccc x=y z=w\n"));
    CHECK(saw(self.events, "5 1 GET path=/ query= host=a.example cookie=a=1\n"));
    stop(&self);
}

/* What is too much gets its status, and the connection goes on. */
static void test_too_much(void)
{
    char large[2000];
    memset(large, 'a', sizeof large);
    for (int i = 0; i < 5; i++) {
        pair self;
        start(&self, 0);
        self.limits.fields = i == 0 ? 3 : 100;
        self.limits.head = i == 1 ? 1500 : 65536;
        self.limits.request_line = i == 2 ? 1500 : 16384;
        self.limits.body = i >= 3 ? 5000 : 0;
        large[0] = '/';
        nghttp2_nv nv[] = { NV(":method", "POST"), SCHEME,       AUTHORITY,   NV(":path", "/"),
                            NV("a", "1"),          NV("b", "2"), NV("c", "3") };
        size_t bytes = i == 3 ? 6000 : 10;
        if (i == 1 || i == 2) {
            nv[3].value = (uint8_t *)large;
            nv[3].valuelen = sizeof large;
        }
        if (i == 4)
            nv[6] = (nghttp2_nv)NV("content-length", "6000");
        CHECK(ask(&self, nv, 7, &bytes) == 1 && get(&self) == 3);
        carry(&self, 500);
        static const char *const lines[] = { "1 :status=431\n", "1 :status=431\n", "1 :status=414\n", "1 :status=413\n",
                                             "1 :status=413\n" };
        CHECK(saw(self.answers, lines[i]) && saw(self.answers, "1 body hello\n"));
        CHECK(saw(self.frames, "RST_STREAM 1 n=4 flags=0 0\n") || bytes == 0);
        CHECK(saw(self.answers, "3 :status=200\n") && saw(self.events, "1 1") == (i == 3));
        CHECK(self.error == 0 && !saw(self.frames, "GOAWAY"));
        stop(&self);
    }
}

/* Many fields and long ones take more memory, up to the limits. */
static void test_large(void)
{
    pair self;
    start(&self, 0);
    self.limits.fields = 500;
    char values[400][12], large[9000];
    nghttp2_nv nv[405] = { METHOD, SCHEME, AUTHORITY, PATH, NV("large", "") };
    memset(large, 'l', sizeof large);
    nv[4].value = (uint8_t *)large;
    nv[4].valuelen = sizeof large;
    for (int i = 0; i < 400; i++) {
        snprintf(values[i], sizeof values[i], "%d", i);
        nv[5 + i] = (nghttp2_nv){ (uint8_t *)(uintptr_t) "n", (uint8_t *)values[i], 1, strlen(values[i]), 0 };
    }
    CHECK(ask(&self, nv, 405, NULL) == 1);
    carry(&self, 10000);
    CHECK(saw(self.events, " n=0 n=1 n=2 ") && saw(self.events, " n=398 n=399\n") && saw(self.answers, "1 closed 0\n"));
    stop(&self);
}

/* Trailers are checked, counted and dropped. */
static void test_trailers(void)
{
    for (int i = 0; i < 3; i++) {
        pair self;
        start_raw(&self);
        self.limits.trailers = 10;
        frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, RAW_POST);
        static const tri_span trailers[] = { { "\x40\x01x\x01y", 5 },
                                             { "\x40\x01x\x0ayyyyyyyyyy", 14 },
                                             { "\x40\x02:x\x01y", 6 } };
        frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, trailers[i]);
        carry(&self, SIZE_MAX);
        CHECK(saw(self.events, "1 3\n") == (i == 0));
        CHECK(saw(self.events, "1 4 431 the trailers are too long\n") == (i == 1));
        CHECK(saw(self.frames, "RST_STREAM 1 n=4 flags=0 1\n") == (i == 2));
        CHECK(saw(self.frames, "DATA 1 ") == (i < 2));
        stop(&self);
    }
}

/* What is not HTTP/2 ends the connection. */
static void test_no_preface(void)
{
    pair self;
    start_server(&self, 0);
    char text[] = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    feed(&self, text, sizeof text - 1, 7);
    CHECK(strcmp(self.events, "0 4 0 it does not begin as HTTP/2 does\n") == 0);
    CHECK(state_of(&self) & TRI_PROTOCOL_CLOSE);
    carry(&self, 100);
    CHECK(saw(self.frames, "GOAWAY 0 n=8 flags=0 last=0 code=1\n"));
    stop(&self);
}

/* Streams lower than one that was begun are not begun; the connection ends, and whoever is at work is told. */
static void test_lower(void)
{
    pair self;
    start_raw(&self);
    self.by_hand = true;
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 5, RAW_GET);
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3, RAW_GET);
    carry(&self, SIZE_MAX);
    CHECK(!saw(self.events, "3 1") && saw(self.events, "5 5\n") && saw(self.frames, "last=5 code=1\n"));
    CHECK(state_of(&self) & TRI_PROTOCOL_CLOSE);
    CHECK(put(&self, 5, "", true) == TRI_ECLOSED);
    stop(&self);
}

/* What a connection holds between requests is bounded: nghttp2's buffer for a frame is the most of it, then come the
   tables of HPACK, however many fields there were. */
static void test_idle_memory(void)
{
    enum { GREETED = 31000, TABLES = 25000, EACH = 100 };
    pair self;
    start_raw(&self);
    CHECK(self.mem.bytes_out < GREETED);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < EACH; i++)
            frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
                  2 * (round * EACH + i) + 1, RAW_GET);
        carry(&self, SIZE_MAX);
    }
    size_t pooled = self.chains.blocks.idle * TRI_CHAIN_BLOCK + self.chains.segments.idle * sizeof(tri_segment);
    CHECK(times(self.frames, "DATA") == 3 * EACH && self.mem.bytes_out - pooled < GREETED + TABLES);
    stop(&self);
}

/* Each allocation may fail: TRI_ENOMEM, and nothing leaks. */
static void test_faults(void)
{
    bool failing = true;
    for (size_t at = 1; failing && at < 400; at++) {
        pair self;
        start(&self, at);
        self.limits.trailers = 0;
        size_t bytes = 10;
        nghttp2_nv nv[60] = { METHOD, SCHEME, AUTHORITY, PATH, NV("cookie", "a"), NV("cookie", "b") };
        for (size_t i = 6; i < 60; i++)
            nv[i] = (nghttp2_nv)NV("field", "this is one of many fields of a head");
        CHECK(get(&self) == 1 && post(&self, &bytes) == 3 && ask(&self, nv, 60, NULL) == 5);
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
    test_window_returned();
    test_reset();
    test_reset_untold();
    test_eof();
    test_fields();
    test_length();
    test_pseudo();
    test_cookies();
    test_too_much();
    test_large();
    test_trailers();
    test_no_preface();
    test_lower();
    test_idle_memory();
    test_faults();
    return check_report();
}
