/* Floods: each has a budget by the second, beyond which the connection ends before more is done for it. */
#include "http2_pair.h"

enum { CALM = 11 };

/* A frame of a flood, the `i`-th. */
typedef void flood(pair *self, uint32_t i);

static void reset_stream(pair *self, uint32_t i)
{
    frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * i + 1, RAW_GET);
    frame(self, NGHTTP2_RST_STREAM, 0, 2 * i + 1, TRI_SPAN("\0\0\0\x8"));
}

/* Streams that we are made to reset: by a window that overflows, by a body that is too long, by a malformed head. */
static void overflow_window(pair *self, uint32_t i)
{
    frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * i + 1, RAW_GET);
    frame(self, NGHTTP2_WINDOW_UPDATE, 0, 2 * i + 1, TRI_SPAN("\x7f\xff\xff\xff"));
}

static void exceed_length(pair *self, uint32_t i)
{
    const tri_span head = TRI_SPAN("\x83\x84\x86\x41\x01"
                                   "a\x5c\x01"
                                   "1");
    frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 2 * i + 1, head);
    frame(self, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 2 * i + 1, TRI_SPAN("two"));
}

static void malform(pair *self, uint32_t i)
{
    frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * i + 1, TRI_SPAN("\x82\x84"));
}

static void ping(pair *self, uint32_t i)
{
    (void)i;
    frame(self, NGHTTP2_PING, 0, 0, TRI_SPAN("\0\0\0\0\0\0\0\0"));
}

static void settings(pair *self, uint32_t i)
{
    (void)i;
    frame(self, NGHTTP2_SETTINGS, 0, 0, TRI_SPAN("\0\x3\0\0\0\x64"));
}

static void settings_ack(pair *self, uint32_t i)
{
    (void)i;
    frame(self, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (tri_span){ NULL, 0 });
}

/* A POST on stream 1, whose body goes on. */
static void post_once(pair *self, uint32_t i)
{
    if (i == 0)
        frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, RAW_POST);
}

static void empty_data(pair *self, uint32_t i)
{
    post_once(self, i);
    frame(self, NGHTTP2_DATA, 0, 1, (tri_span){ NULL, 0 });
}

static void small_data(pair *self, uint32_t i)
{
    post_once(self, i);
    frame(self, NGHTTP2_DATA, 0, 1, TRI_SPAN("x"));
}

static void padded_data(pair *self, uint32_t i)
{
    post_once(self, i);
    frame(self, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, TRI_SPAN("\x01\0"));
}

/* DATA and HEADERS for a stream that is over are ignored, but not for nothing. */
static void late_data(pair *self, uint32_t i)
{
    if (i == 0)
        frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, RAW_GET);
    carry(self, SIZE_MAX);
    frame(self, NGHTTP2_DATA, 0, 1, TRI_SPAN("x"));
}

static void late_head(pair *self, uint32_t i)
{
    if (i == 0)
        frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, RAW_GET);
    carry(self, SIZE_MAX);
    frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, RAW_GET);
}

static void priority(pair *self, uint32_t i)
{
    frame(self, NGHTTP2_PRIORITY, 0, 2 * i + 1, TRI_SPAN("\0\0\0\0\x10"));
}

static void priority_update(pair *self, uint32_t i)
{
    (void)i;
    frame(self, NGHTTP2_PRIORITY_UPDATE, 0, 0, TRI_SPAN("\0\0\0\x1u=1"));
}

static void window(pair *self, uint32_t i)
{
    (void)i;
    frame(self, NGHTTP2_WINDOW_UPDATE, 0, 0, TRI_SPAN("\0\0\0\x1"));
}

static void unknown(pair *self, uint32_t i)
{
    frame(self, 0x20 + (i & 63), 0xff, i, TRI_SPAN("grease"));
}

static void goaway(pair *self, uint32_t i)
{
    (void)i;
    frame(self, NGHTTP2_GOAWAY, 0, 0, TRI_SPAN("\0\0\0\0\0\0\0\0"));
}

static void empty_head(pair *self, uint32_t i)
{
    frame(self, i == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION, 0, 1, (tri_span){ NULL, 0 });
}

static void continuation(pair *self, uint32_t i)
{
    char field[] = "\x40\x01x\x01y";
    if (i == 0)
        frame(self, NGHTTP2_HEADERS, 0, 1, RAW_GET);
    frame(self, NGHTTP2_CONTINUATION, 0, 1, (tri_span){ field, 5 });
}

/* The same of a head that is ignored. */
static void late_continuation(pair *self, uint32_t i)
{
    if (i == 0)
        frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, RAW_GET);
    carry(self, SIZE_MAX);
    if (i == 0)
        frame(self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, RAW_GET);
    frame(self, NGHTTP2_CONTINUATION, 0, 1, TRI_SPAN("\x82"));
}

/* Every budget is this large in the tests. */
enum { MOST = 12 };

static void set_limits(tri_limits *limits)
{
    limits->h2_resets = limits->h2_pings = limits->h2_settings = limits->h2_empty = limits->h2_small = MOST;
    limits->h2_priorities = limits->h2_window_updates = limits->h2_unknown = limits->h2_continuations = MOST;
}

/* Sends frames until the connection ends; how many of them were looked at. What comes behind costs nothing. */
static uint32_t drown(pair *self, flood *one, uint32_t most)
{
    uint32_t i = 0;
    while (i < most && self->error == 0 && !saw(self->frames, "code=11\n")) {
        one(self, i++);
        carry(self, SIZE_MAX);
    }
    CHECK((state_of(self) & TRI_PROTOCOL_CLOSE) != 0 && self->error == 0);
    size_t requests = self->mem.requests, bytes = self->mem.bytes_out, frames = strlen(self->frames);
    for (uint32_t after = 0; after < 1000; after++)
        one(self, i + after);
    carry(self, SIZE_MAX);
    CHECK(self->mem.requests == requests && self->mem.bytes_out <= bytes && strlen(self->frames) == frames);
    return i;
}

static void test_budgets(void)
{
    static const struct {
        flood *one;
        const char *reason;
        uint32_t before; /* frames of that kind that were sent before, or that the first brings along */
    } floods[] = {
        { reset_stream, "0 4 0 too many streams a second are reset\n", 0 },
        { overflow_window, "0 4 0 too many streams a second are reset\n", 0 },
        { exceed_length, "0 4 0 too many streams a second are reset\n", 0 },
        { malform, "0 4 0 too many streams a second are reset\n", 0 },
        { ping, "0 4 0 too many PING frames a second\n", 0 },
        { settings, "0 4 0 too many SETTINGS frames a second\n", 2 },
        { empty_data, "0 4 0 too many empty frames a second\n", 0 },
        { empty_head, "0 4 0 too many empty frames a second\n", 0 },
        { small_data, "0 4 0 too many small frames a second\n", 0 },
        { padded_data, "0 4 0 too many small frames a second\n", 0 },
        { priority, "0 4 0 too many PRIORITY frames a second\n", 0 },
        { priority_update, "0 4 0 too many PRIORITY frames a second\n", 0 },
        { window, "0 4 0 too many WINDOW_UPDATE frames a second\n", 0 },
        { unknown, "0 4 0 too many frames a second that ask for nothing\n", 0 },
        { continuation, "0 4 0 a head comes in too many frames\n", 0 },
    };
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        pair self;
        start_raw(&self);
        set_limits(&self.limits);
        self.limits.h2_window_updates = floods[i].one == overflow_window ? 0 : MOST;
        self.by_hand = true;
        uint32_t n = drown(&self, floods[i].one, 100);
        CHECK(n == MOST + 1 - floods[i].before && saw(self.events, floods[i].reason));
        CHECK(times(self.events, "0 4 0") == 1 && times(self.frames, "GOAWAY") == 1);
        if (!saw(self.events, floods[i].reason))
            fprintf(stderr, "flood %zu: %u\n%s%s", i, n, self.events, self.frames);
        stop(&self);
    }
}

/* Frames for streams that are over end the connection, too: here, or as nghttp2 has it. */
static void test_late(void)
{
    static flood *const floods[] = { late_data, late_head, late_continuation, goaway, settings_ack };
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        pair self;
        start_raw(&self);
        set_limits(&self.limits);
        uint32_t n = 0;
        while (n < 100 && !(state_of(&self) & TRI_PROTOCOL_CLOSE)) {
            floods[i](&self, n++);
            carry(&self, SIZE_MAX);
        }
        CHECK(self.error == 0 && n <= MOST + 1);
        stop(&self);
    }
}

/* Each second has its own; what is within its budget goes on for ever. */
static void test_seconds(void)
{
    static flood *const floods[] = { reset_stream, ping, small_data, window, priority_update, unknown };
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        pair self;
        start_raw(&self);
        set_limits(&self.limits);
        self.by_hand = true;
        self.taking = true;
        for (uint32_t n = 0; n < 20 * MOST; n++) {
            self.now += n % MOST == 0 ? 1000 : 0;
            floods[i](&self, n);
            carry(&self, SIZE_MAX);
        }
        CHECK(self.error == 0 && !saw(self.frames, "GOAWAY") && !(state_of(&self) & TRI_PROTOCOL_CLOSE));
        stop(&self);
    }
}

/* 0 is no limit. */
static void test_unlimited(void)
{
    pair self;
    start_raw(&self);
    self.limits.h2_pings = 0;
    for (uint32_t n = 0; n < 3000; n++)
        ping(&self, n);
    carry(&self, SIZE_MAX);
    CHECK(self.error == 0 && times(self.frames, "PING 0 n=8 flags=1\n") == 3000 && !saw(self.frames, "GOAWAY"));
    stop(&self);
    start_server(&self, 0);
    self.limits.h2_continuations = 0;
    feed(&self, TRI_HTTP2_PREFACE, sizeof TRI_HTTP2_PREFACE - 1, SIZE_MAX);
    frame(&self, NGHTTP2_SETTINGS, 0, 0, (tri_span){ NULL, 0 });
    for (uint32_t n = 0; n < 50; n++)
        continuation(&self, n);
    frame(&self, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, TRI_SPAN("\x40\x01x\x01y"));
    carry(&self, SIZE_MAX);
    CHECK(self.error == 0 && times(self.events, "x=y") == 51 && !saw(self.frames, "GOAWAY"));
    stop(&self);
}

/* WINDOW_UPDATE frames that our own DATA frames have earned are no flood. */
static void test_windows_earned(void)
{
    static char bytes[60000];
    pair self;
    start_raw(&self);
    set_limits(&self.limits);
    self.by_hand = true;
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, RAW_GET);
    CHECK(begin(&self, 1, 200) == 0);
    for (uint32_t n = 0; n < 50; n++) {
        tri_loan loan = { .bytes = { bytes, 1100 } };
        CHECK(self.protocol->ops->submit_body(self.protocol, 1, &loan, false) == 0);
        carry(&self, SIZE_MAX);
        for (uint32_t id = 0; id < 3; id++) /* one more for the bytes */
            frame(&self, NGHTTP2_WINDOW_UPDATE, 0, id & 1, TRI_SPAN("\0\0\x4\x4c"));
    }
    CHECK(self.error == 0 && times(self.frames, "DATA 1 n=1100") == 50 && !saw(self.frames, "GOAWAY"));
    stop(&self);
}

/* Frames that are wrong, and that nghttp2 would let pass, end the connection. */
static void test_wrong(void)
{
    enum { HEAD = NGHTTP2_FLAG_END_HEADERS, WHOLE = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM };
    for (int i = 0; i < 11; i++) {
        pair self;
        start_raw(&self);
        self.by_hand = i >= 4;
        frame(&self, NGHTTP2_HEADERS, i == 2 || i == 8 ? HEAD : WHOLE, 5, i == 2 || i == 8 ? RAW_POST : RAW_GET);
        carry(&self, SIZE_MAX);
        unsigned code = 5;
        if (i == 0) {
            frame(&self, NGHTTP2_DATA, 0, 5, TRI_SPAN("late"));
        } else if (i == 1) {
            frame(&self, NGHTTP2_HEADERS, WHOLE, 5, RAW_GET);
        } else if (i == 2) {
            frame(&self, NGHTTP2_RST_STREAM, 0, 5, TRI_SPAN("\0\0\0\x8"));
            frame(&self, NGHTTP2_DATA, 0, 5, TRI_SPAN("late"));
        } else if (i == 3) {
            frame(&self, NGHTTP2_HEADERS, WHOLE, 3, RAW_GET);
            code = 1;
        } else if (i == 4) {
            frame(&self, NGHTTP2_PRIORITY, 0, 0, TRI_SPAN("\0\0\0\1\x10"));
            code = 1;
        } else if (i == 5) {
            frame(&self, NGHTTP2_PRIORITY, 0, 7, TRI_SPAN("\x80\0\0\7\x10"));
            code = 1;
        } else if (i == 6) {
            frame(&self, NGHTTP2_PRIORITY, 0, 7, TRI_SPAN("\0\0\0\7"));
            code = 6;
        } else if (i == 7) {
            frame(&self, NGHTTP2_PRIORITY, 0, 7, TRI_SPAN("\0\0\0\5\x10"));
            code = 0;
        } else if (i == 9) { /* of a stream that is over */
            answer(&self, 5, 200);
            carry(&self, SIZE_MAX);
            frame(&self, NGHTTP2_WINDOW_UPDATE, 0, 5, TRI_SPAN("\x80\0\0\0"));
            code = 1;
        } else if (i == 10) {
            frame(&self, NGHTTP2_WINDOW_UPDATE, 0, 0, TRI_SPAN("\0\0\0"));
            code = 6;
        } else { /* we have ended it, and the peer could not know */
            CHECK(self.protocol->ops->reset(self.protocol, 5, TRI_RESET_CANCEL) == 0);
            carry(&self, SIZE_MAX);
            frame(&self, NGHTTP2_DATA, 0, 5, TRI_SPAN("late"));
            frame(&self, NGHTTP2_HEADERS, WHOLE, 5, TRI_SPAN("\x40\x01x\x01y"));
            code = 0;
        }
        carry(&self, SIZE_MAX);
        char line[32];
        snprintf(line, sizeof line, "code=%u\n", code);
        CHECK(self.error == 0 && saw(self.frames, "GOAWAY") == (code != 0) && (code == 0 || saw(self.frames, line)));
        CHECK(((state_of(&self) & TRI_PROTOCOL_CLOSE) != 0) == (code != 0));
        stop(&self);
    }
}

/* However the bytes of a flood are cut, the same frame is one too many. */
static void test_pieces(void)
{
    for (size_t piece = 1; piece < 200; piece += piece < 40 ? 1 : 13) {
        pair self;
        start_raw(&self);
        set_limits(&self.limits);
        char bytes[40 * 17];
        for (size_t i = 0; i < 40; i++)
            memcpy(bytes + i * 17, "\0\0\x8\x6\0\0\0\0\0pingpong", 17);
        feed(&self, bytes, sizeof bytes, piece);
        carry(&self, SIZE_MAX);
        CHECK(self.error == 0 && times(self.frames, "PING 0 n=8 flags=1\n") <= MOST && saw(self.frames, "code=11\n"));
        CHECK(saw(self.events, "0 4 0 too many PING frames a second\n"));
        stop(&self);
    }
}

/* A peer that has us answer and does not read: what waits is bounded, in whatever time it comes. */
static void test_queue(void)
{
    static flood *const floods[] = { ping, settings, malform, reset_stream };
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        pair self;
        start_raw(&self);
        self.limits.h2_queue = 500;
        size_t most = 0;
        uint32_t n = 0;
        while (n < 20000 && self.error == 0 && !saw(self.events, "0 4 0")) {
            self.now += 100;
            floods[i](&self, n++);
            most = self.mem.bytes_out > most ? self.mem.bytes_out : most;
        }
        CHECK(self.error == 0 && most < 400000);
        CHECK(i >= 2 || n < 20000); /* the others end by the number of their streams, or need no answer */
        stop(&self);
    }
}

/* A large field of the dynamic table, thousands of times in few bytes: it is read up to a bound, and no more. */
static void test_bomb(void)
{
    char bytes[16384];
    for (int i = 0; i < 2; i++) {
        pair self;
        start_raw(&self);
        self.limits.fields = i == 0 ? 100 : 1000000;
        size_t before = self.mem.bytes_out;
        memset(bytes, 'x', sizeof bytes);
        memcpy(bytes,
               "\x82\x84\x86\x41\x01"
               "a\x40\x01x\x7f\xc1\x16",
               12); /* 3,000 bytes */
        memset(bytes + 12 + 3008, 0xbe, sizeof bytes - 12 - 3008);
        frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
              (tri_span){ bytes, 16384 });
        carry(&self, SIZE_MAX);
        CHECK(saw(self.events, "0 4 0 a head has far more fields than are read\n") && !saw(self.events, "1 1 "));
        CHECK(saw(self.frames, "code=11\n") && self.mem.bytes_out < before + 200000);
        stop(&self);
    }
}

/* More streams than are allowed are refused, and none of them is heard of. */
static void test_streams(void)
{
    pair self;
    start_raw(&self);
    self.limits.h2_streams = 100;
    self.by_hand = true;
    for (uint32_t i = 0; i < 300; i++)
        frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * i + 1, RAW_GET);
    carry(&self, SIZE_MAX);
    CHECK(times(self.events, " 1 GET") == 100 && self.error == 0 && self.mem.bytes_out < 400000);
    CHECK(state_of(&self) & TRI_PROTOCOL_CLOSE);
    stop(&self);
}

int main(void)
{
    test_budgets();
    test_late();
    test_seconds();
    test_unlimited();
    test_windows_earned();
    test_wrong();
    test_pieces();
    test_queue();
    test_bomb();
    test_streams();
    return check_report();
}
