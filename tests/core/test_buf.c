/* The growing buffer, alone and against a model. */
#include "check.h"
#include "random.h"

#include "base/buf.h"

static void test_append_consume(void)
{
    check_mem mem;
    check_mem_init(&mem);
    tri_buf buf = { 0 };
    CHECK(tri_buf_len(&buf) == 0 && tri_buf_data(&buf) == NULL);
    CHECK(tri_buf_append(&buf, &mem.mem, (tri_span){ NULL, 0 }, 10) == TRI_OK);
    CHECK(mem.requests == 0);
    CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("hello "), 100) == TRI_OK);
    CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("world"), 100) == TRI_OK);
    CHECK(tri_buf_len(&buf) == 11 && memcmp(tri_buf_data(&buf), "hello world", 11) == 0);
    tri_buf_consume(&buf, 6);
    CHECK(tri_buf_len(&buf) == 5 && memcmp(tri_buf_data(&buf), "world", 5) == 0);
    tri_buf_consume(&buf, 5);
    CHECK(tri_buf_len(&buf) == 0);
    tri_buf_consume(&buf, 0);
    tri_buf_release(&buf, &mem.mem);
    CHECK(mem.bytes_out == 0 && tri_buf_data(&buf) == NULL);
    CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("again"), 100) == TRI_OK);
    CHECK(tri_buf_len(&buf) == 5);
    tri_buf_release(&buf, &mem.mem);
    tri_buf_release(&buf, &mem.mem);
    CHECK(mem.blocks_out == 0);
}

/* The maximum is of bytes held, not of bytes ever appended, and memory stays within it too. */
static void test_maximum(void)
{
    check_mem mem;
    check_mem_init(&mem);
    tri_buf buf = { 0 };
    CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("12345678"), 7) == TRI_ELIMIT);
    CHECK(mem.requests == 0);
    CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("12345678"), 8) == TRI_OK);
    CHECK(mem.bytes_out == 8);
    CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("9"), 8) == TRI_ELIMIT);
    CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("9"), 4) == TRI_ELIMIT);
    CHECK(tri_buf_len(&buf) == 8 && memcmp(tri_buf_data(&buf), "12345678", 8) == 0);
    tri_buf_consume(&buf, 3);
    CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("9ab"), 8) == TRI_OK);
    CHECK(memcmp(tri_buf_data(&buf), "456789ab", 8) == 0);
    CHECK(mem.bytes_out == 8);
    CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("c"), SIZE_MAX) == TRI_OK);
    tri_span endless = { "", SIZE_MAX };
    CHECK(tri_buf_append(&buf, &mem.mem, endless, SIZE_MAX) == TRI_ELIMIT);
    CHECK(tri_buf_len(&buf) == 9);
    tri_buf_release(&buf, &mem.mem);
    CHECK(mem.bytes_out == 0);
}

/* A refused allocation leaves everything as it was, first and later. */
static void test_refusal(void)
{
    static const char filler[3000];
    for (size_t fail_at = 1; fail_at <= 3; fail_at++) {
        check_mem mem;
        check_mem_init(&mem);
        mem.fail_at = fail_at;
        tri_buf buf = { 0 };
        size_t held = 0;
        bool refused = false;
        for (int i = 0; i < 6; i++) {
            int error = tri_buf_append(&buf, &mem.mem, (tri_span){ filler, 700 }, 1 << 20);
            held += error == TRI_OK ? 700 : 0;
            refused = refused || error == TRI_ENOMEM;
            CHECK(tri_buf_len(&buf) == held);
        }
        CHECK(refused && held == 3500);
        tri_buf_release(&buf, &mem.mem);
        CHECK(mem.bytes_out == 0);
    }
}

/* Appending byte by byte allocates and moves rarely. */
static void test_growth(void)
{
    check_mem mem;
    check_mem_init(&mem);
    tri_buf buf = { 0 };
    for (int i = 0; i < 100000; i++)
        CHECK(tri_buf_append(&buf, &mem.mem, TRI_SPAN("x"), 1 << 20) == TRI_OK);
    CHECK(mem.requests < 12);
    CHECK(mem.bytes_out <= 200000);
    tri_buf_release(&buf, &mem.mem);
}

/* Random pieces in, random pieces out: always the bytes in order, never more memory than the maximum. */
static void test_model(void)
{
    enum { MAX = 5000 };
    check_mem mem;
    check_mem_init(&mem);
    tri_buf buf = { 0 };
    uint64_t state = 42;
    uint8_t in = 0, out = 0;
    size_t held = 0;
    for (int round = 0; round < 20000; round++) {
        uint8_t piece[600];
        size_t n = random_below(&state, sizeof piece);
        for (size_t i = 0; i < n; i++)
            piece[i] = (uint8_t)(in + i);
        int error = tri_buf_append(&buf, &mem.mem, (tri_span){ (char *)piece, n }, MAX);
        CHECK(error == (held + n > MAX ? TRI_ELIMIT : TRI_OK));
        if (error == TRI_OK) {
            held += n;
            in = (uint8_t)(in + n);
        }
        CHECK(tri_buf_len(&buf) == held && mem.bytes_out <= MAX);
        size_t taken = random_below(&state, 600);
        taken = taken < held ? taken : held;
        bool same = true;
        for (size_t i = 0; i < taken; i++)
            same = same && (uint8_t)tri_buf_data(&buf)[i] == (uint8_t)(out + i);
        CHECK(same);
        tri_buf_consume(&buf, taken);
        held -= taken;
        out = (uint8_t)(out + taken);
    }
    tri_buf_release(&buf, &mem.mem);
    CHECK(mem.bytes_out == 0);
}

int main(void)
{
    test_append_consume();
    test_maximum();
    test_refusal();
    test_growth();
    test_model();
    return check_report();
}
