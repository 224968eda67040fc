/* Masking: every place in the payload, every length up to some hundred bytes, every alignment; in place and across. */
#include "check.h"
#include "random.h"
#include "ws/ws_mask.h"

enum { MOST = 300 };

static const unsigned char key_bytes[4] = { 0x37, 0xfa, 0x21, 0x3d };
static unsigned char text[MOST], masked[MOST];

/* The key as it is handed over: the bytes of the wire. */
static uint32_t key(void)
{
    uint32_t value;
    memcpy(&value, key_bytes, sizeof value);
    return value;
}

static void begin(void)
{
    uint64_t random = 53;
    for (size_t i = 0; i < MOST; i++)
        text[i] = (unsigned char)random_next(&random);
}

/* RFC 6455 §5.3, byte by byte. */
static void expect(size_t n, uint64_t at)
{
    for (size_t i = 0; i < n; i++)
        masked[i] = text[i] ^ key_bytes[(at + i) % 4];
}

/* RFC 6455 §5.7: a single-frame masked text message. */
static void test_example(void)
{
    char hello[5];
    tri_ws_mask_copy(hello, "\x7f\x9f\x4d\x51\x58", 5, key(), 0);
    CHECK(memcmp(hello, "Hello", 5) == 0);
}

static void test_lengths_and_places(void)
{
    bool across = true, in_place = true;
    for (size_t n = 0; n < MOST; n++) {
        for (uint64_t at = 0; at < 8; at++) {
            expect(n, at);
            char *from = check_page_reuse(text, n);
            char to[MOST + 1];
            memset(to, 0x55, sizeof to);
            tri_ws_mask_copy(to, from, n, key(), at);
            across = across && memcmp(to, masked, n) == 0 && to[n] == 0x55 && (n == 0 || memcmp(from, text, n) == 0);
            tri_ws_mask_copy(from, from, n, key(), at);
            in_place = in_place && (n == 0 || memcmp(from, masked, n) == 0);
        }
    }
    CHECK(across);
    CHECK(in_place);
}

/* From and to any address. */
static void test_alignments(void)
{
    bool ok = true;
    char from[MOST + 16], to[MOST + 16];
    for (size_t offset = 0; offset < 64; offset++) {
        size_t n = 100 + offset % 37;
        memcpy(from + offset % 8, text, n);
        expect(n, offset);
        tri_ws_mask_copy(to + offset / 8, from + offset % 8, n, key(), offset);
        ok = ok && memcmp(to + offset / 8, masked, n) == 0;
    }
    CHECK(ok);
}

/* A payload in pieces is the same, and places beyond 32 bits count as they should. */
static void test_pieces(void)
{
    bool ok = true;
    const uint64_t far[] = { 0, UINT64_C(0xFFFFFFFF), UINT64_C(0x7FFFFFFFFFFFFF00) };
    for (size_t step = 1; step < MOST; step++) {
        uint64_t base = far[step % 3];
        char to[MOST];
        for (size_t at = 0; at < MOST; at += step) {
            size_t take = step < MOST - at ? step : MOST - at;
            tri_ws_mask_copy(to + at, (const char *)text + at, take, key(), base + at);
        }
        expect(MOST, base);
        ok = ok && memcmp(to, masked, MOST) == 0;
    }
    CHECK(ok);
}

int main(void)
{
    begin();
    test_example();
    test_lengths_and_places();
    test_alignments();
    test_pieces();
    return check_report();
}
