/* Frames that arrive: every rule of RFC 6455 §5, whole and byte by byte, and what is submitted. */
#include "ws_record.h"

static ws_record driver;
static ws_bytes in;

enum { FIN = 0x80, RSV1 = 0x40, GO_ON = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

static void begin(void)
{
    in.n = 0;
    ws_record_init(&driver);
}

/* Feeds what was put into `in` to two sockets, whole and byte by byte; both must see `wanted`. */
static bool sees(const char *wanted)
{
    bool same = true;
    for (unsigned i = 0; i < 2; i++) {
        driver.log_n = 0;
        ws_record_open(&driver);
        ws_record_steps(&driver, &in, i == 0 ? in.n : 1);
        same = ws_record_logged(&driver, wanted) && same;
        CHECK(driver.error == 0);
        ws_record_close(&driver);
    }
    in.n = 0;
    return same;
}

#define PUT(first, text) ws_put_text(&in, (first), (text))

/* --- messages --- */

static void test_single(void)
{
    begin();
    CHECK(sees(""));
    PUT(FIN | TEXT, "Hello");
    PUT(FIN | BINARY, "\xff\xfe");
    PUT(FIN | TEXT, "");
    PUT(FIN | BINARY, "");
    PUT(FIN | TEXT, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5");
    CHECK(
        sees("text 5 Hello\nbinary 2 \xff\xfe\ntext 0 \nbinary 0 \ntext 11 \xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
             "\n"));
    /* RFC 6455 §5.7 */
    ws_put(&in, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    CHECK(sees("text 5 Hello\n"));
}

/* Each form of the length at its ends, and payloads larger than what is believed at once. */
static void test_lengths(void)
{
    static const size_t sizes[] = { 125, 126, 127, 65535, 65536, 65537, 200000 };
    static char payload[200000];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i % 127);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        static char wanted[WS_RECORD_MAX];
        begin();
        ws_record_line(&driver, "text", (tri_span){ payload, sizes[i] });
        ws_record_line(&driver, "ping", TRI_SPAN("p"));
        memcpy(wanted, driver.log, driver.log_n + 1);
        ws_put_frame(&in, FIN | TEXT, payload, sizes[i]);
        PUT(FIN | PING, "p");
        CHECK(sees(wanted));
    }
}

static void test_fragments(void)
{
    begin();
    PUT(TEXT, "a");
    PUT(GO_ON, "");
    PUT(FIN | PING, "in between");
    PUT(GO_ON, "\xc3");
    PUT(FIN | PONG, "");
    PUT(GO_ON, "\xa9");
    PUT(FIN | GO_ON, "z");
    PUT(BINARY, "");
    PUT(FIN | GO_ON, "");
    PUT(BINARY, "\x80");
    PUT(FIN | GO_ON, "\x80");
    PUT(FIN | TEXT, "next");
    CHECK(sees("ping 10 in between\npong 0 \ntext 4 a\xc3\xa9z\nbinary 0 \nbinary 2 \x80\x80\ntext 4 next\n"));
    PUT(TEXT, "never complete");
    PUT(FIN | CLOSE, "\x03\xe8");
    CHECK(sees("close 1000 0 \n"));
}

/* --- rules --- */

#define FAIL_RSV "fail 1002 a reserved bit is set\n"
#define FAIL_OPCODE "fail 1002 the opcode is reserved\n"
#define FAIL_CONTROL "fail 1002 the control frame is fragmented or too long\n"
#define FAIL_LENGTH "fail 1002 the length is not in its shortest form\n"
#define FAIL_UTF8 "fail 1007 the text is not UTF-8\n"
#define FAIL_BIG "fail 1009 the message is too big\n"

/* Every first byte of a frame, with an extension and without. */
static void test_first_bytes(void)
{
    begin();
    for (unsigned first = 0; first < 256; first++) {
        const char *wanted = "";
        unsigned opcode = first & 15;
        PUT(first, "");
        if (first & 0x70)
            wanted = FAIL_RSV;
        else if (opcode > PONG || (opcode > BINARY && opcode < CLOSE))
            wanted = FAIL_OPCODE;
        else if (opcode >= CLOSE && !(first & FIN))
            wanted = FAIL_CONTROL;
        else if (opcode == GO_ON)
            wanted = "fail 1002 there is no message to go on with\n";
        else if (first & FIN)
            wanted = opcode == TEXT     ? "text 0 \n"
                     : opcode == BINARY ? "binary 0 \n"
                     : opcode == CLOSE  ? "close 1005 0 \n"
                     : opcode == PING   ? "ping 0 \n"
                                        : "pong 0 \n";
        CHECK(sees(wanted));
    }
}

static void test_order(void)
{
    static const unsigned char first[] = { TEXT, BINARY, FIN | TEXT, FIN | BINARY };
    begin();
    for (unsigned i = 0; i < sizeof first; i++) {
        PUT(BINARY, "begun");
        PUT(first[i], "another");
        CHECK(sees("fail 1002 the message before is not complete\n"));
        PUT(BINARY, "begun");
        PUT(FIN | GO_ON, ".");
        PUT(first[i] & (FIN - 1), "a");
        PUT(FIN | GO_ON, "b");
        CHECK(sees(first[i] & 1 ? "binary 6 begun.\ntext 2 ab\n" : "binary 6 begun.\nbinary 2 ab\n"));
    }
    PUT(FIN | TEXT, "a");
    PUT(FIN | GO_ON, "b");
    CHECK(sees("text 1 a\nfail 1002 there is no message to go on with\n"));
}

static void test_unmasked(void)
{
    begin();
    ws_put(&in, "\x81\x05Hello", 7);
    CHECK(sees("fail 1002 the frame is not masked\n"));
    ws_put(&in, "\x89\x00", 2);
    CHECK(sees("fail 1002 the frame is not masked\n"));
}

static void test_shortest_form(void)
{
    static const struct {
        unsigned bytes;
        uint64_t n;
    } wrong[] = {
        { 2, 0 },         { 2, 125 }, { 8, 0 }, { 8, 125 }, { 8, 126 }, { 8, 65535 }, { 8, UINT64_C(1) << 63 },
        { 8, UINT64_MAX }
    };
    begin();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ws_put_head(&in, FIN | BINARY, wrong[i].bytes, wrong[i].n, (const unsigned char *)"key!");
        CHECK(sees(FAIL_LENGTH));
    }
    ws_put_head(&in, FIN | BINARY, 8, UINT64_MAX >> 1, (const unsigned char *)"key!");
    CHECK(sees(FAIL_BIG));
}

static void test_control(void)
{
    char payload[127] = { 0 };
    memset(payload, 'x', 126);
    begin();
    ws_put_frame(&in, FIN | PING, payload, 125);
    ws_put_frame(&in, FIN | PONG, payload, 125);
    static char wanted[600];
    snprintf(wanted, sizeof wanted, "ping 125 %.125s\npong 125 %.125s\n", payload, payload);
    CHECK(sees(wanted));
    for (unsigned opcode = CLOSE; opcode <= PONG; opcode++) {
        ws_put_frame(&in, FIN | opcode, payload, 126);
        CHECK(sees(FAIL_CONTROL));
        ws_put_head(&in, FIN | opcode, 8, 65536, (const unsigned char *)"key!");
        CHECK(sees(FAIL_CONTROL));
    }
}

static void test_close(void)
{
    begin();
    PUT(FIN | CLOSE, "\x03\xe9gone");
    PUT(FIN | TEXT, "not read");
    CHECK(sees("close 1001 4 gone\n"));
    PUT(FIN | CLOSE, "\x13\x87");
    CHECK(sees("close 4999 0 \n"));
    PUT(FIN | CLOSE, "x");
    CHECK(sees("fail 1002 the close code is not one\n"));
    PUT(FIN | CLOSE, "\x03\xee");
    CHECK(sees("fail 1002 the close code is not one\n"));
    PUT(FIN | CLOSE, "\x03\xe8\xff");
    CHECK(sees("fail 1007 the reason is not UTF-8\n"));
    char longest[125];
    memset(longest, 'r', sizeof longest);
    memcpy(longest, "\x0b\xb8", 2);
    ws_put_frame(&in, FIN | CLOSE, longest, sizeof longest);
    static char wanted[200];
    snprintf(wanted, sizeof wanted, "close 3000 123 %.123s\n", longest + 2);
    CHECK(sees(wanted));
}

/* A failure is told at once, at the first byte that is wrong. */
static void test_utf8(void)
{
    begin();
    ws_put_head(&in, FIN | TEXT, 8, 100000, (const unsigned char *)"\0\0\0\0");
    ws_put(&in, "abc\xff", 4);
    CHECK(sees(FAIL_UTF8));
    PUT(TEXT, "\xf4");
    PUT(GO_ON, "\x90");
    CHECK(sees(FAIL_UTF8));
    PUT(TEXT, "ok");
    PUT(FIN | PING, "\xff");
    PUT(FIN | GO_ON, "\xe2\x82");
    CHECK(sees("ping 1 \xff\nfail 1007 the text ends within a character\n"));
    PUT(TEXT, "\xe2\x82");
    PUT(FIN | GO_ON, "");
    CHECK(sees("fail 1007 the text ends within a character\n"));
    PUT(FIN | TEXT, "\xed\xa0\x80");
    CHECK(sees(FAIL_UTF8));
}

/* --- limits --- */

static void test_message_limit(void)
{
    begin();
    driver.limits.ws_message = 10;
    PUT(FIN | TEXT, "0123456789");
    PUT(BINARY, "01234");
    PUT(GO_ON, "56789");
    PUT(FIN | GO_ON, "");
    CHECK(sees("text 10 0123456789\nbinary 10 0123456789\n"));
    PUT(FIN | TEXT, "0123456789a");
    CHECK(sees(FAIL_BIG));
    PUT(BINARY, "0123456789");
    PUT(FIN | GO_ON, "a");
    CHECK(sees(FAIL_BIG));
    PUT(BINARY, "012345678");
    PUT(GO_ON, "ab");
    CHECK(sees(FAIL_BIG));
    driver.limits.ws_message = 0;
    PUT(FIN | TEXT, "");
    PUT(FIN | PING, "still fine");
    PUT(FIN | TEXT, "a");
    CHECK(sees("text 0 \nping 10 still fine\n" FAIL_BIG));
}

static void test_fragments_limit(void)
{
    begin();
    driver.limits.ws_fragments = 3;
    for (unsigned i = 0; i < 2; i++) {
        PUT(TEXT, "a");
        PUT(GO_ON, "b");
        PUT(FIN | PING, "");
        PUT(FIN | GO_ON, "c");
    }
    PUT(BINARY, "");
    PUT(GO_ON, "");
    PUT(GO_ON, "");
    PUT(GO_ON, "");
    CHECK(sees("ping 0 \ntext 3 abc\nping 0 \ntext 3 abc\nfail 1008 the message has too many fragments\n"));
    driver.limits.ws_fragments = 0;
    PUT(BINARY, "");
    for (unsigned i = 0; i < 1000; i++)
        PUT(GO_ON, "");
    PUT(FIN | GO_ON, ".");
    CHECK(sees("binary 1 .\n"));
}

/* An announced length is not believed before bytes have come. */
static void test_announced(void)
{
    begin();
    ws_record_open(&driver);
    ws_put_head(&in, FIN | BINARY, 8, 16777216, (const unsigned char *)"key!");
    ws_record_feed(&driver, in.p, in.n);
    CHECK(driver.mem.bytes_out <= 65536 + sizeof(tri_ws_message));
    size_t requests = driver.mem.requests;
    for (unsigned i = 0; i < 256; i++)
        ws_record_feed(&driver, in.p, 1);
    CHECK(driver.mem.requests == requests);
    ws_record_close(&driver);
}

/* A message in one frame takes no more memory than it has bytes, however it comes. */
static void test_exact_memory(void)
{
    static char payload[100000];
    begin();
    ws_record_open(&driver);
    ws_put_frame(&in, FIN | BINARY, payload, sizeof payload);
    size_t most = 0;
    for (size_t at = 0; at < in.n; at += 1000) {
        ws_record_feed(&driver, in.p + at, in.n - at < 1000 ? in.n - at : 1000);
        most = driver.mem.bytes_out > most ? driver.mem.bytes_out : most;
    }
    CHECK(most == sizeof payload + sizeof(tri_ws_message));
    CHECK(strncmp(driver.log, "binary 100000 ", 14) == 0);
    ws_record_close(&driver);
}

/* --- how it is called --- */

/* recv stops at each event, borrows what a control frame holds, and takes nothing while an event waits. */
static void test_stops(void)
{
    tri_ws_event event;
    begin();
    ws_record_open(&driver);
    PUT(FIN | PING, "one");
    PUT(FIN | PONG, "two");
    char *p = check_page_reuse(in.p, in.n);
    const tri_ws_ops *ops = driver.protocol->ops;
    CHECK(ops->recv(driver.protocol, p, in.n) == 9);
    CHECK(ops->recv(driver.protocol, p + 9, in.n - 9) == 0);
    ops->next_event(driver.protocol, &event);
    CHECK(event.type == TRI_WS_EVENT_PING && event.payload.p == p + 6 && event.payload.n == 3);
    ops->next_event(driver.protocol, &event);
    CHECK(event.type == TRI_WS_EVENT_NONE && event.message == NULL && event.payload.n == 0);
    CHECK(ops->recv(driver.protocol, p + 9, 0) == 0);
    CHECK(ops->recv(driver.protocol, p + 9, 4) == 4);
    ops->next_event(driver.protocol, &event);
    CHECK(event.type == TRI_WS_EVENT_NONE);
    CHECK(ops->recv(driver.protocol, p + 13, in.n - 13) == 5);
    CHECK(driver.mem.requests == 0);
    ops->next_event(driver.protocol, &event);
    CHECK(event.type == TRI_WS_EVENT_PONG && tri_span_eq(event.payload, TRI_SPAN("two")));
    ws_record_close(&driver);
}

/* After a close frame and after a failure everything is taken and nothing read. */
static void test_over(void)
{
    for (unsigned i = 0; i < 2; i++) {
        tri_ws_event event;
        begin();
        ws_record_open(&driver);
        ws_put_frame(&in, i == 0 ? FIN | CLOSE : FIN | 3, "\x03\xe8", 2);
        PUT(FIN | TEXT, "behind");
        ws_record_feed(&driver, in.p, in.n);
        CHECK(ws_record_logged(&driver, i == 0 ? "close 1000 0 \n" : FAIL_OPCODE));
        char *p = check_page_reuse(in.p, in.n);
        CHECK(driver.protocol->ops->recv(driver.protocol, p, in.n) == (ptrdiff_t)in.n);
        driver.protocol->ops->next_event(driver.protocol, &event);
        CHECK(event.type == TRI_WS_EVENT_NONE);
        ws_record_close(&driver);
    }
}

/* A control frame's payload in pieces stays until the next recv; memory of it does not stay for longer. */
static void test_pieces_of_control(void)
{
    tri_ws_event event;
    begin();
    ws_record_open(&driver);
    PUT(FIN | PING, "in pieces");
    for (size_t i = 0; i < in.n; i++)
        CHECK(driver.protocol->ops->recv(driver.protocol, check_page_reuse(in.p + i, 1), 1) == 1);
    (void)check_page_reuse("", 0);
    driver.protocol->ops->next_event(driver.protocol, &event);
    CHECK(event.type == TRI_WS_EVENT_PING && tri_span_eq(event.payload, TRI_SPAN("in pieces")));
    CHECK(driver.mem.blocks_out == 1);
    CHECK(driver.protocol->ops->recv(driver.protocol, check_page_reuse(in.p, 1), 1) == 1);
    CHECK(driver.mem.blocks_out == 0);
    ws_record_close(&driver);
}

/* An idle socket is small, and opening it takes no memory; what it was in the midst of goes with it. */
static void test_size(void)
{
    CHECK(sizeof(tri_ws) <= 176);
    CHECK(sizeof(tri_ws_message) <= 48);
    begin();
    ws_record_open(&driver);
    CHECK(strcmp(driver.protocol->ops->name, "tricorn") == 0);
    CHECK(driver.mem.requests == 0);
    PUT(FIN | TEXT, "some text");
    ws_record_feed(&driver, in.p, in.n);
    CHECK(driver.mem.blocks_out == 0);
    ws_record_close(&driver);
    for (size_t n = 0; n <= in.n; n++) { /* a message or an event is pending */
        ws_record_open(&driver);
        char *p = check_page_reuse(in.p, n);
        CHECK(driver.protocol->ops->recv(driver.protocol, p, n) == (ptrdiff_t)n);
        ws_record_close(&driver);
    }
}

/* --- submitting --- */

static unsigned released;

static void release(void *owner)
{
    (void)owner;
    released++;
}

/* Whether what was submitted is the frame. */
static bool submitted(unsigned first, const char *text)
{
    char got[200], wanted[200];
    size_t n = strlen(text);
    wanted[0] = (char)first;
    wanted[1] = (char)n;
    memcpy(wanted + 2, text, n);
    return ws_record_take(&driver, got, sizeof got) == n + 2 && memcmp(got, wanted, n + 2) == 0;
}

static void test_submitting(void)
{
    begin();
    ws_record_open(&driver);
    const tri_ws_ops *ops = driver.protocol->ops;
    tri_ws_protocol *self = driver.protocol;
    released = 0;
    CHECK(ops->submit_message(self, &driver.out, &(tri_loan){ .bytes = TRI_SPAN("hi") }, TRI_WS_TEXT) == 0);
    CHECK(submitted(FIN | TEXT, "hi"));
    CHECK(ops->submit_message(self, &driver.out, &(tri_loan){ TRI_SPAN("hi"), release, NULL }, TRI_WS_BINARY) == 0);
    CHECK(released == 1 && submitted(FIN | BINARY, "hi"));
    CHECK(ops->submit_ping(self, &driver.out, TRI_SPAN("1")) == 0 && submitted(FIN | PING, "1"));
    CHECK(ops->submit_pong(self, &driver.out, TRI_SPAN("")) == 0 && submitted(FIN | PONG, ""));
    CHECK(ops->submit_close(self, &driver.out, 1001, TRI_SPAN("bye")) == 0
          && submitted(FIN | CLOSE, "\x03\xe9"
                                    "bye"));
    CHECK(ops->submit_close(self, &driver.out, TRI_WS_NO_STATUS, TRI_SPAN("")) == 0 && submitted(FIN | CLOSE, ""));
    CHECK(ops->shares(self, 1000) == 0);
    ws_record_close(&driver);
}

/* A frame that was made for many: short ones are copied, long ones lent; without a release all are copied. */
static void test_submitting_shared(void)
{
    static char frame[3000], got[3000];
    memset(frame, 'f', sizeof frame);
    begin();
    ws_record_open(&driver);
    released = 0;
    for (unsigned i = 0; i < 4; i++) {
        size_t n = i < 2 ? TRI_WS_FRAME_BORROW - 1 : sizeof frame;
        const tri_loan loan = { { frame, n }, i % 2 ? release : NULL, NULL };
        CHECK(driver.protocol->ops->submit_shared(driver.protocol, &driver.out, &loan, false) == 0);
        CHECK(released == (i >= 1));
        CHECK(driver.out.bytes == n && (driver.out.first->p == frame) == (i == 3));
        CHECK(ws_record_take(&driver, got, sizeof got) == n && memcmp(got, frame, n) == 0);
    }
    CHECK(released == 2);
    ws_record_close(&driver);
}

int main(void)
{
    test_single();
    test_lengths();
    test_fragments();
    test_first_bytes();
    test_order();
    test_unmasked();
    test_shortest_form();
    test_control();
    test_close();
    test_utf8();
    test_message_limit();
    test_fragments_limit();
    test_announced();
    test_exact_memory();
    test_stops();
    test_over();
    test_pieces_of_control();
    test_size();
    test_submitting();
    test_submitting_shared();
    return check_report();
}
