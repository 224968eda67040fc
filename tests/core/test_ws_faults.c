/* Want of memory at each place: nothing stays behind, nothing half-made is sent, and what could be read is right. */
#include "ws_peer.h"
#include "ws_record.h"

static ws_record driver;
static ws_bytes in;
static char text[40000];
static unsigned lent, released;

enum { FIN = 0x80, RSV1 = 0x40, GO_ON = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9 };

static void release(void *owner)
{
    (void)owner;
    released++;
}

/* A client's frames of every kind: long, short, in fragments, compressed. */
static void make_input(void)
{
    ws_peer peer;
    uint64_t random = 5;
    in.n = 0;
    peer_open(&peer, 15, 15);
    peer_text(&random, text, sizeof text, 30000);
    ws_put_frame(&in, FIN | RSV1 | TEXT, "", 0);
    ws_put_frame(&in, FIN | TEXT, text, 300);
    ws_put_frame(&in, BINARY, text, 0);
    ws_put_frame(&in, GO_ON, text, 10);
    ws_put_frame(&in, FIN | PING, text, 100);
    ws_put_frame(&in, GO_ON, text + 10, 3000);
    ws_put_frame(&in, FIN | GO_ON, text + 3010, 1);
    for (unsigned i = 0; i < 3; i++) {
        tri_span packed = peer_deflate(&peer, (tri_span){ text + i * 100, sizeof text - 1000 });
        ws_put_frame(&in, RSV1 | TEXT, packed.p, packed.n / 2);
        ws_put_frame(&in, FIN | PING, text, 10);
        ws_put_frame(&in, FIN | GO_ON, packed.p + packed.n / 2, packed.n - packed.n / 2);
    }
    ws_put_frame(&in, FIN | CLOSE, "\x03\xe8 that was it", 14);
    peer_close(&peer);
}

/* Submits one thing; when it fails, the output is as it was and the loan not taken. */
static int submit(unsigned kind, size_t n)
{
    const tri_ws_ops *ops = driver.protocol->ops;
    tri_loan loan = { { text + kind, n }, kind % 2 ? release : NULL, NULL };
    size_t before = driver.out.bytes;
    unsigned taken = released;
    int error;
    if (kind < 4)
        error = ops->submit_message(driver.protocol, &driver.out, &loan, TRI_WS_TEXT);
    else if (kind < 6)
        error = ops->submit_shared(driver.protocol, &driver.out, &loan, true);
    else if (kind == 6)
        error = ops->submit_ping(driver.protocol, &driver.out, (tri_span){ text, 125 });
    else if (kind == 7)
        error = ops->submit_pong(driver.protocol, &driver.out, (tri_span){ text, 125 });
    else
        error = ops->submit_close(driver.protocol, &driver.out, 1000, (tri_span){ text, 123 });
    if (error != TRI_OK)
        CHECK(error == TRI_ENOMEM && driver.out.bytes == before && released == taken);
    else
        lent += kind < 6 && kind % 2;
    return error;
}

/* All that a socket does, until memory is short; returns the first error. */
static int run(size_t step)
{
    static const size_t sizes[] = { 5, 127, 128, 1023, 1024, 30000 };
    tri_span packed;
    for (unsigned i = 0; i < 27; i++) {
        int error = submit(i % 9, sizes[i % 6]);
        if (error != TRI_OK)
            return error;
    }
    ws_record_steps(&driver, &in, step);
    if (driver.error != TRI_OK)
        return driver.error;
    int error = tri_ws_deflate_alone(&driver.shared.deflate, 10, (tri_span){ text, 5000 }, &packed);
    return error != TRI_OK ? error : submit(2, 2000);
}

/* Lets each request fail, alone or with all that follow, and both with streams that stay and that go at once. */
static void test_each(size_t step, unsigned streams, size_t fail_more)
{
    static char wanted[WS_RECORD_MAX];
    unsigned failed = 0;
    for (size_t fail_at = 0;; fail_at++) {
        ws_record_init(&driver);
        driver.options.streams = streams;
        driver.options.min_size = 128;
        lent = released = 0;
        ws_record_open(&driver);
        CHECK(*ws_record_agree(&driver, "permessage-deflate"));
        driver.mem.fail_at = fail_at;
        driver.mem.fail_more = fail_more;
        int error = run(step);
        CHECK(error == TRI_OK || error == TRI_ENOMEM);
        if (fail_at == 0)
            memcpy(wanted, driver.log, driver.log_n + 1);
        CHECK(memcmp(wanted, driver.log, driver.log_n) == 0 && (error != TRI_OK || strcmp(wanted, driver.log) == 0));
        failed += error != TRI_OK;
        bool more = fail_at == 0 || driver.mem.requests >= fail_at;
        driver.protocol->ops->fini(driver.protocol);
        ws_record_close(&driver); /* twice does no harm */
        CHECK(lent == released);
        if (!more)
            break;
    }
    CHECK(failed > 20);
    printf("%u allocations\n", failed);
}

/* A decompressor that is to be given up, and not even its window can be kept, stays. */
static void test_no_room_for_a_window(void)
{
    ws_peer peer;
    tri_ws_message *message;
    ws_record_init(&driver);
    driver.options.streams = 0;
    ws_record_open(&driver);
    CHECK(*ws_record_agree(&driver, "permessage-deflate"));
    tri_ws_deflate *deflate = &driver.ws.deflate;
    peer_open(&peer, 15, 15);
    for (unsigned round = 0; round < 3; round++) {
        tri_span packed = peer_deflate(&peer, (tri_span){ text, 500 });
        message = tri_ws_message_new(&driver.mem.mem, 1000);
        CHECK(tri_ws_deflate_inflate(deflate, packed, false, &message, 1000) == TRI_OK);
        driver.mem.fail_at = round < 2 ? driver.mem.requests + 1 : 0;
        CHECK(tri_ws_deflate_inflate(deflate, (tri_span){ NULL, 0 }, true, &message, 1000) == TRI_OK);
        CHECK(tri_span_eq((tri_span){ message->bytes, message->n }, (tri_span){ text, 500 }));
        CHECK((deflate->receiving != NULL) == (round < 2) && (deflate->window != NULL) == (round == 2));
        CHECK(driver.shared.deflate.n_kept == (round < 2));
        tri_ws_message_free(message, &driver.mem.mem);
        if (round == 1) {
            tri_ws_deflate_shared_trim(&driver.shared.deflate);
            driver.mem.fail_at = driver.mem.requests + 1;
            CHECK(!tri_ws_deflate_shared_trim(&driver.shared.deflate));
            driver.mem.fail_at = 0;
        }
    }
    peer_close(&peer);
    ws_record_close(&driver);
}

int main(void)
{
    make_input();
    for (unsigned i = 0; i < 8; i++)
        test_each(i % 2 ? 50 : WS_BYTES_MAX, i / 2 % 2 ? 16 : 0, i / 4 ? SIZE_MAX / 2 : 0);
    test_no_room_for_a_window();
    return check_report();
}
