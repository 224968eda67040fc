/* HTTP/2's answers: how they are framed, how long they wait, and when they are given up. */
#include "http2_pair.h"

/* A connection with a GET that waits for its answer on stream 1. */
static void start_get(pair *self)
{
    start(self, 0);
    self->by_hand = true;
    CHECK(get(self) == 1);
    carry(self, 500);
    self->frames[0] = '\0';
}

/* What the first answer of a HEAD or GET says. */
static void with_answer(const char *method, int status, const char *length, const char *const bodies[2],
                        const char *frames)
{
    pair self;
    start(&self, 0);
    self.by_hand = true;
    nghttp2_nv nv[] = { NV(":method", ""), NV(":scheme", "http"), NV(":authority", "a"), NV(":path", "/") };
    nv[0].value = (uint8_t *)(uintptr_t)method;
    nv[0].valuelen = strlen(method);
    CHECK(ask(&self, nv, 4, NULL) == 1);
    carry(&self, 500);
    self.frames[0] = '\0';
    tri_field_out field = { TRI_SPAN("Content-Length"), { length, length == NULL ? 0 : strlen(length) } };
    tri_response response = { .status = status, .fields = &field, .n_fields = length != NULL };
    CHECK(self.protocol->ops->submit_head(self.protocol, 1, &response) == 0);
    if (bodies[0] != NULL)
        CHECK(put(&self, 1, bodies[0], false) == 0);
    carry(&self, 500);
    CHECK(put(&self, 1, bodies[1], true) == 0);
    carry(&self, 500);
    CHECK(strcmp(self.frames, frames) == 0);
    if (strcmp(self.frames, frames) != 0)
        fprintf(stderr, "%s %d %s:\n%s", method, status, length == NULL ? "" : length, self.frames);
    CHECK(state_of(&self) == TRI_PROTOCOL_IDLE && saw(self.answers, "1 closed 0\n"));
    stop(&self);
}

static void test_framing(void)
{
    static const char *const whole[2] = { NULL, "hello" }, *const parts[2] = { "he", "llo" },
                             *const none[2] = { NULL, "" };
    with_answer("GET", 200, NULL, whole, "HEADERS 1 n=5 flags=4\nDATA 1 n=5 flags=1\n");
    with_answer("GET", 200, NULL, none, "HEADERS 1 n=5 flags=5\n");
    with_answer("GET", 200, "5", whole, "HEADERS 1 n=5 flags=4\nDATA 1 n=5 flags=1\n");
    with_answer("GET", 200, NULL, parts, "HEADERS 1 n=1 flags=4\nDATA 1 n=2 flags=0\nDATA 1 n=3 flags=1\n");
    with_answer("HEAD", 200, NULL, whole, "HEADERS 1 n=5 flags=5\n");
    with_answer("HEAD", 200, "77", whole, "HEADERS 1 n=6 flags=5\n");
    with_answer("HEAD", 200, NULL, none, "HEADERS 1 n=1 flags=5\n");
    with_answer("HEAD", 200, NULL, parts, "HEADERS 1 n=1 flags=5\n");
    with_answer("GET", 204, "0", whole, "HEADERS 1 n=1 flags=5\n");
    with_answer("GET", 205, "5", parts, "HEADERS 1 n=4 flags=5\n");
    with_answer("GET", 304, "5", none, "HEADERS 1 n=5 flags=5\n");
}

/* Applications that work on after the end of their streams, on bodies that nobody gets, count as if those were open. */
static void test_working_on(void)
{
    enum { MOST = 4 };
    pair self;
    start(&self, 0);
    self.by_hand = true;
    self.limits.h2_streams = MOST;
    const nghttp2_nv head[] = { NV(":method", "HEAD"), NV(":scheme", "http"), NV(":authority", "a"), NV(":path", "/") };
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MOST; i++) {
            uint32_t id = (uint32_t)ask(&self, head, 4, NULL);
            carry(&self, 500);
            CHECK(begin(&self, id, 200) == 0 && put(&self, id, "part", false) == 0);
            carry(&self, 500);
        }
        CHECK(times(self.answers, ":status=200\n") == (round + 1) * MOST && times(self.frames, "RST_STREAM") == round);
        uint32_t last = (uint32_t)ask(&self, head, 4, NULL);
        carry(&self, 500);
        CHECK(times(self.frames, "RST_STREAM") == round + 1 && begin(&self, last, 200) == TRI_ECLOSED);
        for (unsigned i = 1; i <= MOST; i++)
            CHECK(put(&self, last - 2 * i, "end", true) == 0);
    }
    stop(&self);
}

/* A head is held until the first event of the body, and until then may be taken back. */
static void test_held(void)
{
    pair self;
    start_get(&self);
    CHECK(put(&self, 1, "x", false) == TRI_ESTATE);
    CHECK(self.protocol->ops->submit_rollback(self.protocol, 1) == TRI_ESTATE);
    CHECK(begin(&self, 1, 200) == 0 && begin(&self, 1, 201) == TRI_ESTATE);
    CHECK(drain(&self, 1) == 0);
    CHECK(self.protocol->ops->submit_rollback(self.protocol, 1) == 0);
    CHECK(begin(&self, 1, 500) == 0 && put(&self, 1, "", false) == 0);
    CHECK(self.protocol->ops->submit_rollback(self.protocol, 1) == TRI_ESTATE);
    carry(&self, 500);
    CHECK(saw(self.answers, "1 :status=500\n") && !saw(self.answers, "1 :status=200\n") && !saw(self.frames, "DATA"));
    CHECK(put(&self, 1, "sorry", true) == 0 && put(&self, 1, "", true) == TRI_ESTATE);
    carry(&self, 500);
    CHECK(saw(self.answers, "1 body sorry\n1 closed 0\n"));
    CHECK(put(&self, 1, "", true) == TRI_ECLOSED && begin(&self, 0, 200) == TRI_ECLOSED);
    stop(&self);
}

/* One that is still held when the connection ends, or its peer gives up, is freed. */
static void test_held_lost(void)
{
    for (int i = 0; i < 2; i++) {
        pair self;
        start_get(&self);
        CHECK(begin(&self, 1, 200) == 0);
        if (i == 1) {
            CHECK(nghttp2_submit_rst_stream(self.client, NGHTTP2_FLAG_NONE, 1, NGHTTP2_CANCEL) == 0);
            carry(&self, 500);
            CHECK(saw(self.events, "1 5\n"));
        }
        stop(&self);
    }
}

/* What may not be sent is refused, and nothing of it is taken. */
static void test_refused(void)
{
    static const tri_field_out bad[] = {
        { { "a b", 3 }, { "x", 1 } },
        { { "", 0 }, { "x", 1 } },
        { { ":status", 7 }, { "200", 3 } },
        { { "x", 1 }, { "a\nb", 3 } },
        { { "content-length", 14 }, { "x", 1 } },
    };
    pair self;
    start_get(&self);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tri_response response = { .status = 200, .fields = &bad[i], .n_fields = 1 };
        CHECK(self.protocol->ops->submit_head(self.protocol, 1, &response) == TRI_EINVAL);
    }
    const tri_field_out twice[] = { { TRI_SPAN("content-length"), TRI_SPAN("5") },
                                    { TRI_SPAN("content-length"), TRI_SPAN("5") } };
    tri_response response = { .status = 200, .fields = twice, .n_fields = 2 };
    CHECK(self.protocol->ops->submit_head(self.protocol, 1, &response) == TRI_EINVAL);
    CHECK(begin(&self, 1, 199) == TRI_EINVAL && begin(&self, 1, 1000) == TRI_EINVAL);
    response.n_fields = 1;
    CHECK(self.protocol->ops->submit_head(self.protocol, 1, &response) == 0);
    CHECK(put(&self, 1, "too long", true) == TRI_EINVAL && put(&self, 1, "few", true) == TRI_EINVAL);
    CHECK(put(&self, 1, "few", false) == 0 && put(&self, 1, "few", true) == TRI_EINVAL
          && put(&self, 1, "er", true) == 0);
    carry(&self, 500);
    CHECK(saw(self.answers, "1 content-length=5\n") && saw(self.answers, "1 closed 0\n"));
    stop(&self);
}

/* The server's own lines are left out where the application has set them. */
static void test_lines(void)
{
    pair self;
    start_get(&self);
    const tri_field_out fields[] = { { TRI_SPAN("Date"), TRI_SPAN("  then  ") },
                                     { TRI_SPAN("SERVER"), TRI_SPAN("mine") } };
    tri_response response = { .status = 200,
                              .fields = fields,
                              .n_fields = 2,
                              .date = TRI_SPAN("date: now\r\n"),
                              .server = TRI_SPAN("server: ours\r\n"),
                              .defaults = TRI_SPAN("a: 1\r\nB: 2\r\n"),
                              .extra = TRI_SPAN("upgrade: x\r\nretry-after: 1\r\n") };
    CHECK(self.protocol->ops->submit_head(self.protocol, 1, &response) == 0 && put(&self, 1, "", true) == 0);
    carry(&self, 500);
    CHECK(saw(self.answers, "1 :status=200\n1 date=then\n1 server=mine\n1 retry-after=1\n1 a=1\n1 b=2\n"));
    stop(&self);
}

static void count_release(void *owner)
{
    ++*(int *)owner;
}

/* Large bodies are borrowed until the last frame of them is written, small ones given back at once. */
static void test_loans(void)
{
    enum { LARGE = 40000 };
    static char bytes[LARGE];
    memset(bytes, 'b', LARGE);
    for (int i = 0; i < 3; i++) {
        pair self;
        start_get(&self);
        int released = 0;
        tri_loan loan = { { bytes, 10 }, count_release, &released };
        CHECK(self.protocol->ops->submit_body(self.protocol, 1, &loan, false) == TRI_ESTATE && released == 0);
        CHECK(begin(&self, 1, 200) == 0);
        CHECK(self.protocol->ops->submit_body(self.protocol, 1, &loan, false) == 0 && released == 1);
        loan.bytes.n = LARGE;
        CHECK(self.protocol->ops->submit_body(self.protocol, 1, &loan, i == 0) == 0 && released == 1);
        CHECK(self.protocol->ops->waiting(self.protocol, 1) == LARGE + 10);
        CHECK(drain(&self, 30) > 0 && self.protocol->ops->waiting(self.protocol, 1) == 0 && released == 1);
        if (i == 0) {
            carry(&self, 5000);
            CHECK(released == 2
                  && saw(self.frames, "DATA 1 n=16384 flags=0\nDATA 1 n=16384 flags=0\nDATA 1 n=7242 flags=1\n"));
        } else if (i == 1) { /* given up with a part of it in the chain */
            CHECK(self.protocol->ops->reset(self.protocol, 1, TRI_RESET_FAILED) == 0 && released == 1);
            CHECK(self.protocol->ops->waiting(self.protocol, 1) == 0 && put(&self, 1, "", true) == TRI_ECLOSED);
            carry(&self, 5000);
            CHECK(released == 2 && saw(self.answers, "1 closed 2\n") && !saw(self.events, "1 5"));
        }
        stop(&self);
        CHECK(released == 2);
    }
}

/* What a window holds back waits on its stream, and is known to be stalled; others go on. The peer is one of raw
   frames, whose windows are ours to open. */
static void test_stalled(void)
{
    static char bytes[100000];
    uint64_t since = 0;
    pair self;
    start_raw(&self);
    self.by_hand = true;
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, RAW_GET);
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3, RAW_GET);
    tri_loan loan = { .bytes = { bytes, sizeof bytes } };
    for (uint32_t id = 1; id <= 3; id += 2)
        CHECK(begin(&self, id, 200) == 0 && self.protocol->ops->submit_body(self.protocol, id, &loan, true) == 0);
    self.now = 6000;
    carry(&self, SIZE_MAX);
    CHECK(self.protocol->ops->waiting(self.protocol, 1) + self.protocol->ops->waiting(self.protocol, 3)
          == 200000 - 65535);
    self.now = 7000;
    CHECK(self.protocol->ops->stalled(self.protocol, &since) != 0 && since <= 6000);
    frame(&self, NGHTTP2_WINDOW_UPDATE, 0, 0, TRI_SPAN("\x00\x10\x00\x00"));
    CHECK(self.protocol->ops->sendable(self.protocol) > 0);
    carry(&self, SIZE_MAX);
    CHECK(self.protocol->ops->stalled(self.protocol, &since) == 1 && since == 6000); /* its own window is shut */
    self.now = 9000;
    frame(&self, NGHTTP2_WINDOW_UPDATE, 0, 1, TRI_SPAN("\x00\x10\x00\x00"));
    carry(&self, SIZE_MAX);
    CHECK(self.protocol->ops->waiting(self.protocol, 1) == 0);
    CHECK(self.protocol->ops->stalled(self.protocol, &since) == 3 && since == 7000);
    CHECK(self.protocol->ops->reset(self.protocol, 3, TRI_RESET_CANCEL) == 0);
    CHECK(self.protocol->ops->stalled(self.protocol, &since) == 0);
    carry(&self, SIZE_MAX);
    CHECK(saw(self.frames, "RST_STREAM 3 n=4 flags=0 8\n") && state_of(&self) == TRI_PROTOCOL_IDLE);
    stop(&self);
}

/* An answer that is complete before its request ends the request, without an error. */
static void test_early(void)
{
    pair self;
    start(&self, 0);
    self.by_hand = true;
    size_t left = 500000;
    CHECK(post(&self, &left) == 1);
    carry(&self, 20000);
    CHECK(left > 0);
    answer(&self, 1, 200);
    CHECK(self.protocol->ops->reset(self.protocol, 1, TRI_RESET_DONE) == 0);
    self.events[0] = '\0';
    carry(&self, 20000);
    CHECK(saw(self.frames, "DATA 1 n=5 flags=1\nRST_STREAM 1 n=4 flags=0 0\n") && self.events[0] == '\0');
    CHECK(state_of(&self) == TRI_PROTOCOL_IDLE);
    stop(&self);
}

/* Where the rest of the request is let come, nobody is told of it, and it fills no window. */
static void test_early_rest(void)
{
    pair self;
    start(&self, 0);
    self.by_hand = true;
    size_t left = 500000;
    CHECK(post(&self, &left) == 1);
    carry(&self, 20000);
    size_t body = self.body;
    answer(&self, 1, 200);
    carry(&self, 20000);
    CHECK(left == 0 && self.body == body && !saw(self.frames, "RST_STREAM") && saw(self.answers, "1 closed 0\n"));
    CHECK(state_of(&self) == TRI_PROTOCOL_IDLE);
    stop(&self);
}

/* 100 Continue goes out once, if it was asked for and no answer has begun. */
static void test_continue(void)
{
    pair self;
    start_raw(&self);
    self.by_hand = true;
    const tri_span expecting = TRI_SPAN("\x83\x84\x86\x41\x01"
                                        "a\x40\x06"
                                        "expect\x0c"
                                        "100-continue");
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, expecting);
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3, expecting);
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 5, expecting);
    frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 7, expecting);
    frame(&self, NGHTTP2_DATA, 0, 7, TRI_SPAN("x"));
    CHECK(begin(&self, 3, 200) == 0);
    self.frames[0] = '\0';
    for (uint32_t id = 1; id <= 9; id += 2)
        for (int i = 0; i < 2; i++)
            CHECK(self.protocol->ops->submit_continue(self.protocol, id) == 0);
    answer(&self, 1, 200);
    carry(&self, SIZE_MAX);
    CHECK(times(self.frames, "HEADERS") == 2 && times(self.frames, "HEADERS 1 ") == 2);
    CHECK(saw(self.frames, "DATA 1 n=5 flags=1\n"));
    stop(&self);
}

/* A shutdown is told in two steps, and what is at work, or comes between them, is answered first. */
static void test_shutdown(void)
{
    for (int i = 0; i < 2; i++) {
        pair self;
        start_get(&self);
        self.protocol->ops->shutdown(self.protocol);
        CHECK(get(&self) == 3); /* is on its way already */
        if (i == 1)
            carry(&self, 500);
        else
            while (drain(&self, 500) > 0)
                continue;
        CHECK(saw(self.frames, "GOAWAY 0 n=8 flags=0 last=2147483647 code=0\n")
              && saw(self.frames, "PING 0 n=8 flags=0\n"));
        CHECK(saw(self.frames, "last=3 code=0\n") == (i == 1)); /* the peer has answered the ping */
        if (i == 0) {
            self.protocol->ops->shutdown(self.protocol);
            carry(&self, 500);
            CHECK(saw(self.frames, "last=1 code=0\n"));
        }
        self.protocol->ops->shutdown(self.protocol);
        CHECK(!(state_of(&self) & TRI_PROTOCOL_CLOSE));
        answer(&self, 1, 200);
        if (i == 1)
            answer(&self, 3, 200);
        carry(&self, 500);
        CHECK(saw(self.answers, "1 body hello\n1 closed 0\n") && saw(self.answers, "3 body hello\n") == (i == 1));
        CHECK(state_of(&self) & TRI_PROTOCOL_CLOSE);
        stop(&self);
    }
}

/* A shutdown before the first byte is told, too: the first request may be on its way, and it is served until the second
   time. */
static void test_shutdown_unused(void)
{
    for (int late = 0; late < 2; late++) {
        pair self;
        start_server(&self, 0);
        CHECK(state_of(&self) == TRI_PROTOCOL_IDLE);
        self.protocol->ops->shutdown(self.protocol);
        CHECK(state_of(&self) == TRI_PROTOCOL_IDLE);
        if (late)
            self.protocol->ops->shutdown(self.protocol);
        CHECK(((state_of(&self) & TRI_PROTOCOL_CLOSE) != 0) == (late == 1));
        feed(&self, TRI_HTTP2_PREFACE, sizeof TRI_HTTP2_PREFACE - 1, SIZE_MAX);
        frame(&self, NGHTTP2_SETTINGS, 0, 0, (tri_span){ NULL, 0 });
        frame(&self, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, RAW_GET);
        carry(&self, SIZE_MAX);
        CHECK(saw(self.frames, "last=2147483647 code=0\n") && saw(self.frames, "last=0 code=0\n") == (late == 1));
        CHECK(saw(self.events, "1 1 GET path=") == (late == 0) && saw(self.frames, "HEADERS 1 ") == (late == 0));
        stop(&self);
    }
}

/* Ours to give up: refused, or failed. */
static void test_reset(void)
{
    pair self;
    start_get(&self);
    CHECK(get(&self) == 3);
    carry(&self, 500);
    CHECK(self.protocol->ops->reset(self.protocol, 1, TRI_RESET_REFUSED) == 0);
    CHECK(self.protocol->ops->reset(self.protocol, 1, TRI_RESET_REFUSED) == 0);
    CHECK(self.protocol->ops->reset(self.protocol, 99, TRI_RESET_REFUSED) == 0);
    CHECK(begin(&self, 3, 200) == 0 && put(&self, 3, "x", false) == 0);
    CHECK(self.protocol->ops->reset(self.protocol, 3, TRI_RESET_FAILED) == 0);
    carry(&self, 500);
    CHECK(saw(self.answers, "1 closed 7\n") && saw(self.answers, "3 closed 2\n") && !saw(self.events, " 5\n"));
    CHECK(state_of(&self) == TRI_PROTOCOL_IDLE);
    stop(&self);
}

/* Each allocation of an answer may fail. */
static void test_faults(void)
{
    enum { LARGE = 100000 };
    static char bytes[LARGE];
    bool failing = true;
    for (size_t at = 1; failing && at < 600; at++) {
        pair self;
        start(&self, at);
        self.by_hand = true;
        size_t left = 400000;
        int released = 0, lent = 0;
        CHECK(get(&self) == 1 && post(&self, &left) == 3);
        carry(&self, 5000);
        for (uint32_t id = 1; id <= 3 && self.error == 0; id += 2) {
            failed(&self, begin(&self, id, 200));
            tri_loan loan = { { bytes, LARGE }, count_release, &released };
            int error = self.error == 0 ? self.protocol->ops->submit_body(self.protocol, id, &loan, true) : TRI_ENOMEM;
            lent += error == 0;
            failed(&self, error);
            carry(&self, 5000);
        }
        self.protocol->ops->shutdown(self.protocol);
        carry(&self, 5000);
        failing = self.mem.requests >= at;
        CHECK(self.error == 0 || self.error == TRI_ENOMEM || self.error == TRI_ECLOSED);
        CHECK(failing || self.error == 0);
        stop(&self);
        CHECK(released == lent);
    }
    CHECK(!failing);
}

int main(void)
{
    test_framing();
    test_working_on();
    test_held();
    test_held_lost();
    test_refused();
    test_lines();
    test_loans();
    test_stalled();
    test_early();
    test_early_rest();
    test_continue();
    test_shutdown();
    test_shutdown_unused();
    test_reset();
    test_faults();
    return check_report();
}
