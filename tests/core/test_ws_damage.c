/* Compressed messages in frames: what RFC 7692 allows, what damages them, and bombs; whole and in pieces, with streams
   that are kept and that are given up. */
#include "ws_peer.h"
#include "ws_record.h"

static ws_record driver;
static ws_bytes in;
static bool alone; /* the client's messages are */

enum { FIN = 0x80, RSV1 = 0x40, GO_ON = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9 };

static void begin(void)
{
    in.n = 0;
    alone = false;
    ws_record_init(&driver);
}

/* Feeds what was put into `in` to sockets in several ways; all must see `wanted`. */
static bool sees(const char *wanted)
{
    static const size_t steps[] = { WS_BYTES_MAX, 1, 2, 7 };
    bool same = true;
    for (unsigned i = 0; i < 8; i++) {
        driver.log_n = 0;
        driver.options.streams = i % 2;
        ws_record_open(&driver);
        CHECK(
            *ws_record_agree(&driver, alone ? "permessage-deflate; client_no_context_takeover" : "permessage-deflate"));
        ws_record_steps(&driver, &in, steps[i / 2]);
        same = ws_record_logged(&driver, wanted) && same;
        CHECK(driver.error == 0);
        ws_record_close(&driver);
    }
    in.n = 0;
    return same;
}

#define PUT(first, literal) ws_put_frame(&in, (first), (literal), sizeof(literal) - 1)

#define FAIL_DAMAGED "fail 1007 the compressed data is damaged\n"
#define FAIL_BIG "fail 1009 the message is too big\n"
#define FAIL_RSV "fail 1002 a reserved bit is set\n"

/* The messages of RFC 7692 §7.2.3: "Hello", each time. */
static void test_examples(void)
{
    begin();
    PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00"); /* §7.2.3.1 */
    PUT(RSV1 | TEXT, "\xf2\x48\xcd");
    PUT(FIN | GO_ON, "\xc9\xc9\x07\x00");
    CHECK(sees("text 5 Hello\ntext 5 Hello\n"));
    PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00");
    PUT(FIN | RSV1 | TEXT, "\xf2\x00\x11\x00\x00"); /* §7.2.3.2: it refers to the first */
    CHECK(sees("text 5 Hello\ntext 5 Hello\n"));
    PUT(FIN | RSV1 | BINARY, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00");       /* §7.2.3.3 */
    PUT(FIN | RSV1 | TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00");                     /* §7.2.3.4: a last block */
    PUT(FIN | RSV1 | TEXT, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"); /* §7.2.3.5: two blocks */
    PUT(FIN | RSV1 | TEXT, "\x00");                                                 /* §7.2.3.6 */
    CHECK(sees("binary 5 Hello\ntext 5 Hello\ntext 5 Hello\ntext 0 \n"));
}

static void test_flags(void)
{
    begin();
    PUT(FIN | TEXT, "plain");
    PUT(RSV1 | BINARY, "");
    PUT(FIN | PING, "in between");
    PUT(FIN | GO_ON, "\x00");
    PUT(TEXT, "a");
    PUT(FIN | GO_ON, "b");
    CHECK(sees("text 5 plain\nping 10 in between\nbinary 0 \ntext 2 ab\n"));
    PUT(RSV1 | TEXT, "\xf2\x48\xcd");
    PUT(FIN | RSV1 | GO_ON, "\xc9\xc9\x07\x00");
    CHECK(sees(FAIL_RSV));
    PUT(FIN | RSV1 | PING, "");
    CHECK(sees(FAIL_RSV));
    PUT(FIN | RSV1 | CLOSE, "");
    CHECK(sees(FAIL_RSV));
    PUT(FIN | 0x20 | TEXT, "");
    CHECK(sees(FAIL_RSV));
    PUT(FIN | RSV1 | 0x10 | TEXT, "");
    CHECK(sees(FAIL_RSV));
}

/* --- ends of messages --- */

/* Some clients leave the tail in, or have nothing where an empty message should be. */
static void test_nothing_left_to_add(void)
{
    for (unsigned i = 0; i < 2; i++) {
        begin();
        alone = i == 1;
        PUT(FIN | RSV1 | TEXT, "");
        PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff");
        PUT(FIN | RSV1 | TEXT, "");
        PUT(RSV1 | TEXT, "");
        PUT(FIN | GO_ON, "");
        PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        CHECK(sees("text 0 \ntext 5 Hello\ntext 0 \ntext 0 \ntext 5 Hello\n"));
    }
}

/* The same of messages that fill the room that was made for them to the byte: nothing is left to do, nor to be added.
 */
static void test_nothing_left_to_add_nor_room(void)
{
    static char text[2001];
    memset(text, 'a', sizeof text);
    begin();
    driver.log_n = 0;
    ws_record_open(&driver);
    CHECK(*ws_record_agree(&driver, "permessage-deflate"));
    ws_peer peer;
    peer_open(&peer, 15, 15);
    peer.out_alone = true;
    for (size_t n = 1; n < sizeof text; n++) {
        size_t before = driver.log_n;
        tri_span packed = peer_deflate(&peer, (tri_span){ text, n });
        ws_put_frame(&in, FIN | RSV1 | TEXT, packed.p, packed.n + 4); /* the tail stands behind it */
        ws_record_feed(&driver, in.p, in.n);
        in.n = 0;
        char wanted[20];
        snprintf(wanted, sizeof wanted, "text %zu ", n);
        CHECK(strncmp(driver.log + before, wanted, strlen(wanted)) == 0);
        driver.log_n = n % 100 == 0 ? 0 : driver.log_n;
    }
    peer_close(&peer);
    ws_record_close(&driver);
}

/* Blocks that say that they are the last, at the end and before it; what follows may refer to what came before. */
static void test_last_blocks(void)
{
    for (unsigned i = 0; i < 2; i++) {
        begin();
        alone = i == 1;
        PUT(FIN | RSV1 | TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00");
        PUT(FIN | RSV1 | TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
        PUT(FIN | RSV1 | TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
        PUT(FIN | RSV1 | TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00");
        PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        CHECK(sees("text 5 Hello\ntext 5 Hello\ntext 10 HelloHello\ntext 10 HelloHello\ntext 5 Hello\n"));
    }
    begin();
    PUT(FIN | RSV1 | TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00");
    PUT(FIN | RSV1 | TEXT, "\xf2\x00\x11\x00\x00");
    CHECK(sees("text 5 Hello\ntext 5 Hello\n"));
}

/* Each of them costs a copy of the window, so there may not be many in a message; the next counts afresh. */
static void test_many_last_blocks(void)
{
    begin();
    static const char many[] = "\x03\x00\x03\x00\x03\x00\x03\x00\x03\x00\x03\x00\x03\x00\x03\x00\x03\x00";
    ws_put_frame(&in, FIN | RSV1 | TEXT, many, 16);
    ws_put_frame(&in, FIN | RSV1 | TEXT, many, 16);
    CHECK(sees("text 0 \ntext 0 \n"));
    ws_put_frame(&in, FIN | RSV1 | TEXT, many, 18);
    CHECK(sees(FAIL_DAMAGED));
}

/* --- damage --- */

static void test_damaged(void)
{
    begin();
    PUT(FIN | RSV1 | TEXT, "\x07");
    CHECK(sees(FAIL_DAMAGED)); /* no such kind of block */
    PUT(FIN | RSV1 | TEXT, "\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00");
    CHECK(sees(FAIL_DAMAGED)); /* the length and its complement differ */
    PUT(FIN | RSV1 | TEXT, "\xf2\x00\x11\x00\x00");
    CHECK(sees(FAIL_DAMAGED)); /* there is nothing yet to refer to */
    PUT(FIN | RSV1 | TEXT, "Hello");
    CHECK(sees(FAIL_DAMAGED));
}

/* A message that ends within a block: what comes next would be read as the rest of it. */
static void test_cut_off(void)
{
    static const char whole[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    begin();
    for (size_t n = 1; n < sizeof whole - 2; n++) {
        ws_put_frame(&in, FIN | RSV1 | BINARY, whole, n);
        PUT(FIN | PING, "");
        CHECK(sees(FAIL_DAMAGED));
    }
    PUT(FIN | RSV1 | BINARY, "\x00\x64\x00\x9b\xff\x61\x62\x63");
    CHECK(sees(FAIL_DAMAGED));
    PUT(FIN | RSV1 | BINARY, "\x00\x09\x00\xf6\xff\x61\x62\x63"); /* the tail would be of it */
    CHECK(sees(FAIL_DAMAGED));
}

/* Without a context, what follows is compressed by itself: a reference to the message before is damage. */
static void test_alone(void)
{
    begin();
    alone = true;
    PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00");
    PUT(FIN | RSV1 | TEXT, "\xf2\x00\x11\x00\x00");
    CHECK(sees("text 5 Hello\n" FAIL_DAMAGED));
}

/* What is inflated is text, too. */
static void test_text(void)
{
    begin();
    PUT(FIN | RSV1 | TEXT, "\x00\x02\x00\xfd\xff\xc3\xa9\x00");
    PUT(FIN | RSV1 | BINARY, "\x00\x02\x00\xfd\xff\xff\xa9\x00");
    CHECK(sees("text 2 \xc3\xa9\nbinary 2 \xff\xa9\n"));
    PUT(FIN | RSV1 | TEXT, "\x00\x02\x00\xfd\xff\xc3\x41\x00");
    CHECK(sees("fail 1007 the text is not UTF-8\n"));
    PUT(FIN | RSV1 | TEXT, "\x00\x01\x00\xfe\xff\xc3\x00");
    CHECK(sees("fail 1007 the text ends within a character\n"));
    PUT(FIN | RSV1 | TEXT, "\x00\x02\x00\xfd\xff\xc3\x41\x07"); /* wrong twice: the first counts */
    CHECK(sees("fail 1007 the text is not UTF-8\n"));
    driver.limits.ws_message = 3;
    PUT(FIN | RSV1 | TEXT, "\x00\x05\x00\xfa\xff\xc3\x41\x07\x08\x09\x00");
    CHECK(sees("fail 1007 the text is not UTF-8\n"));
}

/* --- limits --- */

/* Exactly as much as may be, and a byte more. */
static void test_limit(void)
{
    begin();
    driver.limits.ws_message = 5;
    PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00");
    PUT(FIN | RSV1 | TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
    PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00\x07");
    CHECK(sees("text 5 Hello\ntext 5 Hello\n" FAIL_DAMAGED));
    driver.limits.ws_message = 4;
    PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00");
    CHECK(sees(FAIL_BIG));
    driver.limits.ws_message = 0;
    PUT(FIN | RSV1 | TEXT, "\x00");
    PUT(FIN | RSV1 | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00");
    CHECK(sees("text 0 \n" FAIL_BIG));
}

/* A megabyte of zeros in a kilobyte takes no more memory than what is allowed. */
static void test_bomb(void)
{
    static char zeros[PEER_MAX / 2];
    ws_peer peer;
    begin();
    driver.limits.ws_message = 100000;
    peer_open(&peer, 15, 15);
    tri_span bomb = peer_deflate(&peer, (tri_span){ zeros, sizeof zeros });
    CHECK(bomb.n < 1000);
    ws_put_frame(&in, FIN | RSV1 | BINARY, bomb.p, bomb.n);
    peer_close(&peer);
    for (size_t step = 1; step < 2000; step += 300) {
        ws_record_open(&driver);
        CHECK(*ws_record_agree(&driver, "permessage-deflate"));
        size_t most = 0;
        for (size_t at = 0; at < in.n; at += step) {
            ws_record_feed(&driver, in.p + at, step < in.n - at ? step : in.n - at);
            most = driver.mem.bytes_out > most ? driver.mem.bytes_out : most;
        }
        CHECK(ws_record_logged(&driver, FAIL_BIG));
        CHECK(most < 100000 + 50000);
        ws_record_close(&driver);
    }
}

/* Blocks without content go on for ever and make nothing: what they are on the wire is bounded, too. */
static void test_wire_limit(void)
{
    static char blocks[2000];
    for (size_t i = 0; i < sizeof blocks; i++)
        blocks[i] = "\x00\x00\x00\xff\xff"[i % 5];
    begin();
    driver.limits.ws_message = 1000;
    ws_put_frame(&in, FIN | RSV1 | TEXT, blocks, 1000 + 3 + 256 + 1);
    CHECK(sees(FAIL_BIG));
    ws_put_frame(&in, FIN | RSV1 | TEXT, blocks, 1255); /* a message counts for itself */
    ws_put_frame(&in, FIN | RSV1 | TEXT, blocks, 1255);
    CHECK(sees("text 0 \ntext 0 \n"));
    ws_put_frame(&in, RSV1 | TEXT, blocks, 1255);
    for (unsigned i = 0; i < 4; i++)
        ws_put_frame(&in, GO_ON, blocks + 1255, 1);
    PUT(FIN | PING, "");
    ws_put_frame(&in, FIN | GO_ON, blocks + 1259, 1);
    CHECK(sees("ping 0 \n" FAIL_BIG));
    ws_put_head(&in, FIN | RSV1 | TEXT, 8, UINT64_MAX >> 1, (const unsigned char *)"key!");
    CHECK(sees(FAIL_BIG));
}

/* --- sending --- */

static unsigned released;

static void release(void *owner)
{
    (void)owner;
    released++;
}

/* The payload of the one frame that was submitted; whether it begins so. */
static tri_span submitted(unsigned first, bool *begins)
{
    static char frame[PEER_MAX];
    size_t n = ws_record_take(&driver, frame, sizeof frame);
    size_t form = n < 2 ? 0 : (unsigned char)frame[1];
    size_t head = form < 126 ? 2 : form == 126 ? 4 : 10;
    *begins = n >= head && (unsigned char)frame[0] == first;
    return (tri_span){ frame + head, n - head };
}

/* Messages of our own, those that are made for many, and short ones, in turn: the peer stays in step. */
static void test_sending(void)
{
    static char text[20000];
    uint64_t random = 4;
    for (unsigned streams = 0; streams < 2; streams++) {
        ws_peer peer;
        begin();
        driver.options.streams = streams;
        driver.options.min_size = 20;
        ws_record_open(&driver);
        CHECK(*ws_record_agree(&driver, "permessage-deflate"));
        peer_open(&peer, 15, 12);
        const tri_ws_ops *ops = driver.protocol->ops;
        CHECK(ops->shares(driver.protocol, 19) == 0 && ops->shares(driver.protocol, 20) == 12);
        for (unsigned round = 0; round < 200; round++) {
            tri_span span = { text, 20 + (size_t)random_below(&random, round % 9 ? 500 : sizeof text - 20) };
            peer_text(&random, text, span.n, 5000);
            bool begins, lent = random_below(&random, 2) != 0;
            tri_loan loan = { span, lent ? release : NULL, NULL };
            released = 0;
            uint64_t kind = random_below(&random, 4);
            if (kind == 0) {
                loan.bytes.n = 19;
                CHECK(ops->submit_message(driver.protocol, &driver.out, &loan, TRI_WS_TEXT) == 0);
                CHECK(tri_span_eq(submitted(FIN | TEXT, &begins), loan.bytes) && begins);
            } else if (kind == 1) {
                static unsigned char frame[PEER_MAX];
                tri_span packed;
                CHECK(tri_ws_deflate_alone(&driver.shared.deflate, 9 + round % 4, span, &packed) == TRI_OK);
                size_t head = tri_ws_frame_head(frame, FIN | RSV1 | BINARY, packed.n);
                memcpy(frame + head, packed.p, packed.n);
                loan.bytes = (tri_span){ (const char *)frame, head + packed.n };
                CHECK(ops->submit_shared(driver.protocol, &driver.out, &loan, true) == 0);
                CHECK(tri_span_eq(peer_inflate(&peer, submitted(FIN | RSV1 | BINARY, &begins)), span) && begins);
            } else {
                CHECK(ops->submit_message(driver.protocol, &driver.out, &loan, TRI_WS_BINARY) == 0);
                CHECK(tri_span_eq(peer_inflate(&peer, submitted(FIN | RSV1 | BINARY, &begins)), span) && begins);
            }
            CHECK(released == lent);
        }
        peer_close(&peer);
        ws_record_close(&driver);
    }
}

/* What a handshake does not agree on is not there, whatever was offered before it. */
static void test_agreement(void)
{
    begin();
    ws_record_open(&driver);
    CHECK(strcmp(ws_record_agree(&driver, "permessage-deflate; x"), "") == 0);
    CHECK(driver.protocol->ops->shares(driver.protocol, 1000) == 0);
    CHECK(strcmp(ws_record_agree(&driver, "permessage-deflate; client_max_window_bits"),
                 "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12")
          == 0);
    CHECK(driver.protocol->ops->shares(driver.protocol, 1000) == 12);
    ws_record_close(&driver);
    driver.options.enabled = false;
    ws_record_open(&driver);
    CHECK(strcmp(ws_record_agree(&driver, "permessage-deflate"), "") == 0);
    PUT(FIN | RSV1 | TEXT, "\x00");
    ws_record_feed(&driver, in.p, in.n);
    CHECK(ws_record_logged(&driver, FAIL_RSV));
    ws_record_close(&driver);
}

int main(void)
{
    test_examples();
    test_flags();
    test_nothing_left_to_add();
    test_nothing_left_to_add_nor_room();
    test_last_blocks();
    test_many_last_blocks();
    test_damaged();
    test_cut_off();
    test_alone();
    test_text();
    test_limit();
    test_bomb();
    test_wire_limit();
    test_sending();
    test_agreement();
    return check_report();
}
