/* Frames as a server writes them, and the payload of close frames. */
#include "check.h"
#include "ws/protocol.h"
#include "ws/ws_frame.h"

static check_mem mem;
static tri_chain_pool pool;
static tri_chain chain;
static unsigned released;

static void release(void *owner)
{
    CHECK(owner == &released);
    released++;
}

static void begin(void)
{
    check_mem_init(&mem);
    tri_chain_pool_init(&pool, &mem.mem);
    tri_chain_init(&chain);
    released = 0;
}

static void end(void)
{
    tri_chain_clear(&chain, &pool);
    tri_chain_pool_fini(&pool);
    CHECK(mem.blocks_out == 0);
}

/* --- heads --- */

static bool heads(uint64_t n, const char *bytes, size_t size)
{
    unsigned char head[TRI_WS_FRAME_HEAD];
    return tri_ws_frame_head(head, 0x82, (size_t)n) == size && memcmp(head, bytes, size) == 0;
}

static void test_heads(void)
{
    CHECK(heads(0, "\x82\x00", 2));
    CHECK(heads(1, "\x82\x01", 2));
    CHECK(heads(125, "\x82\x7d", 2));
    CHECK(heads(126, "\x82\x7e\x00\x7e", 4));
    CHECK(heads(127, "\x82\x7e\x00\x7f", 4));
    CHECK(heads(256, "\x82\x7e\x01\x00", 4));
    CHECK(heads(65535, "\x82\x7e\xff\xff", 4));
    CHECK(heads(65536, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10));
    CHECK(heads(0x123456789abcdef0, "\x82\x7f\x12\x34\x56\x78\x9a\xbc\xde\xf0", 10));
}

/* --- writing --- */

static char payload[200000];

/* Writes a frame of `n` bytes; returns whether what is on the chain is it. */
static bool writes(size_t n, bool borrowed)
{
    static char got[sizeof payload + TRI_WS_FRAME_HEAD];
    unsigned char head[TRI_WS_FRAME_HEAD];
    const tri_loan loan = { { n == 0 ? NULL : payload, n }, borrowed ? release : NULL, &released };
    unsigned before = released;
    if (tri_ws_frame_write(&chain, &pool, 0x81, &loan) != 0)
        return false;
    CHECK(released - before == (borrowed && n < TRI_WS_FRAME_BORROW));
    size_t size = tri_ws_frame_head(head, 0x81, n), at = 0;
    CHECK(chain.bytes == size + n);
    bool lies_there = false;
    while (chain.bytes > 0) {
        struct iovec iov;
        CHECK(tri_chain_iov(&chain, &iov, 1, chain.bytes) == 1);
        lies_there = lies_there || iov.iov_base == payload;
        memcpy(got + at, iov.iov_base, iov.iov_len);
        at += iov.iov_len;
        tri_chain_consume(&chain, &pool, iov.iov_len);
    }
    CHECK(lies_there == (borrowed && n >= TRI_WS_FRAME_BORROW));
    CHECK(released - before == borrowed);
    return at == size + n && memcmp(got, head, size) == 0 && memcmp(got + size, payload, n) == 0;
}

static void test_writing(void)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 1023, 1024, 4000, 4031, 4032, 4096, 65535, 65536, sizeof payload };
    begin();
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK(writes(sizes[i], false));
        CHECK(writes(sizes[i], true));
    }
    end();
}

/* Without memory the chain is as it was, with its frame before, and the loan is still the caller's. */
static void test_want_of_memory(void)
{
    static const size_t sizes[] = { 0, 100, 1023, 1024, 9000, sizeof payload };
    for (unsigned i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        const tri_loan first = { .bytes = TRI_SPAN("before") };
        const tri_loan loan = { { payload, sizes[i / 2] }, i % 2 ? release : NULL, &released };
        unsigned failed = 0;
        for (size_t fail_at = 1; fail_at < 60; fail_at++) {
            begin();
            CHECK(tri_ws_frame_write(&chain, &pool, 0x82, &first) == 0);
            chain.last->room = 0; /* whatever comes needs a block */
            mem.requests = 0;
            mem.fail_at = fail_at;
            int error = tri_ws_frame_write(&chain, &pool, 0x81, &loan);
            if (error != 0) {
                failed++;
                CHECK(error == TRI_ENOMEM && chain.bytes == 8 && released == 0);
            }
            end();
            CHECK(released == (error == 0 && i % 2));
            if (mem.requests < fail_at)
                break;
        }
        CHECK(failed >= (sizes[i / 2] > 5000 ? 2 : 1));
    }
}

/* --- close frames --- */

/* RFC 6455 §7.4 and its registry: what may stand on the wire. */
static bool may_be_sent(int code)
{
    static const int registered[] = { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014 };
    for (size_t i = 0; i < sizeof registered / sizeof *registered; i++)
        if (code == registered[i])
            return true;
    return code >= 3000 && code <= 4999;
}

static void test_codes(void)
{
    bool ok = true;
    for (int code = -1; code <= 65536; code++)
        ok = ok && tri_ws_frame_code_ok(code) == may_be_sent(code);
    CHECK(ok);
    ok = true;
    for (int code = 0; code <= 65535; code++) {
        char bytes[] = { (char)(code >> 8), (char)code };
        int read;
        tri_span reason;
        int wrong = tri_ws_frame_read_close((tri_span){ bytes, 2 }, &read, &reason);
        ok = ok && wrong == (may_be_sent(code) ? 0 : TRI_WS_PROTOCOL_ERROR) && (wrong != 0 || read == code);
        ok = ok && reason.n == 0;
    }
    CHECK(ok);
}

/* What a payload that ends at a protected page is read as: what is wrong with it, or its code. */
static int reads(const char *bytes, size_t n, const char *wanted)
{
    int code = 0;
    tri_span reason = { NULL, 99 };
    char *p = check_page_reuse(bytes, n);
    int wrong = tri_ws_frame_read_close((tri_span){ p, n }, &code, &reason);
    CHECK(wrong != 0 || tri_span_eq(reason, (tri_span){ wanted, strlen(wanted) }));
    return wrong != 0 ? -wrong : code;
}

static void test_reading(void)
{
    CHECK(reads("", 0, "") == TRI_WS_NO_STATUS);
    CHECK(reads("\x03", 1, "") == -TRI_WS_PROTOCOL_ERROR);
    CHECK(reads("\x03\xe8", 2, "") == 1000);
    CHECK(reads("\x03\xe8so long", 9, "so long") == 1000);
    CHECK(reads("\x0f\xa0gr\xc3\xbc\xc3\x9f", 8, "gr\xc3\xbc\xc3\x9f") == 4000);
    CHECK(reads("\x03\xe8\xff", 3, "") == -TRI_WS_INVALID_DATA);
    CHECK(reads("\x03\xe8gr\xc3", 5, "") == -TRI_WS_INVALID_DATA);
    CHECK(reads("\x03\xe8\xed\xa0\x80", 5, "") == -TRI_WS_INVALID_DATA);
    CHECK(reads("\x03\xed\xff", 3, "") == -TRI_WS_PROTOCOL_ERROR);
}

static void test_putting(void)
{
    char bytes[TRI_WS_CONTROL_MOST + 1];
    char reason[TRI_WS_REASON_MOST];
    memset(reason, 'r', sizeof reason);
    memset(bytes, 'x', sizeof bytes);
    CHECK(tri_ws_frame_put_close(bytes, TRI_WS_NO_STATUS, TRI_SPAN("")) == 0 && bytes[0] == 'x');
    CHECK(tri_ws_frame_put_close(bytes, 1000, (tri_span){ NULL, 0 }) == 2);
    CHECK(memcmp(bytes, "\x03\xe8x", 3) == 0);
    CHECK(tri_ws_frame_put_close(bytes, 4999, TRI_SPAN("why")) == 5);
    CHECK(memcmp(bytes, "\x13\x87why", 5) == 0);
    CHECK(tri_ws_frame_put_close(bytes, 1012, (tri_span){ reason, sizeof reason }) == TRI_WS_CONTROL_MOST);
    CHECK(bytes[2] == 'r' && bytes[TRI_WS_CONTROL_MOST - 1] == 'r' && bytes[TRI_WS_CONTROL_MOST] == 'x');
}

int main(void)
{
    test_heads();
    test_writing();
    test_want_of_memory();
    test_codes();
    test_reading();
    test_putting();
    return check_report();
}
