/* UTF-8 in pieces, against a reference that decodes and asks what RFC 3629 asks. */
#include "check.h"
#include "random.h"
#include "ws/ws_utf8.h"

/* --- the reference --- */

/* Bytes that a character's first byte announces, by its leading ones; 0 when no character begins so. */
static unsigned announced(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if ((first & 0xE0) == 0xC0)
        return 2;
    if ((first & 0xF0) == 0xE0)
        return 3;
    return (first & 0xF8) == 0xF0 ? 4 : 0;
}

/* Whether a character of `n` bytes may have this value. */
static bool may_be(uint32_t value, unsigned n)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    return value >= least[n] && value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
}

/* Whether the whole text is UTF-8. */
static bool is_utf8(const unsigned char *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        unsigned size = announced(p[at]);
        if (size == 0 || size > n - at)
            return false;
        uint32_t value = size == 1 ? p[at] : p[at] & (0xFFU >> (size + 1));
        for (unsigned i = 1; i < size; i++) {
            if ((p[at + i] & 0xC0) != 0x80)
                return false;
            value = value << 6 | (p[at + i] & 0x3F);
        }
        if (!may_be(value, size))
            return false;
        at += size;
    }
    return true;
}

/* Whether some text begins so: the same, except that the last character may lack bytes. */
static bool may_go_on(const unsigned char *p, size_t n)
{
    unsigned char more[16];
    size_t kept = n < 8 ? n : 8;
    if (is_utf8(p, n))
        return true;
    for (size_t cut = n - (n < 3 ? n : 3); cut < n; cut++) { /* the last character begins here */
        if (!is_utf8(p, cut))
            continue;
        memcpy(more, p + n - kept, kept);
        for (unsigned fill = 0x80; fill <= 0xBF; fill++) { /* its other bytes hardly matter: the second does */
            memset(more + kept, (int)fill, sizeof more - kept);
            for (size_t missing = 1; missing <= 3; missing++)
                if (is_utf8(more + kept - (n - cut), n - cut + missing))
                    return true;
        }
    }
    return false;
}

/* --- ours --- */

/* How far a text in pieces of `step` bytes is read: 0 wrong, 1 it may go on, 2 it may end. Ends at a protected page. */
static int read_steps(const unsigned char *p, size_t n, size_t step)
{
    tri_ws_utf8 utf8 = { 0 };
    for (size_t at = 0; at < n; at += step) {
        size_t take = step < n - at ? step : n - at;
        if (!tri_ws_utf8_go_on(&utf8, check_page_reuse(p + at, take), take))
            return 0;
    }
    return tri_ws_utf8_complete(&utf8) ? 2 : 1;
}

static int expected(const unsigned char *p, size_t n)
{
    return is_utf8(p, n) ? 2 : may_go_on(p, n) ? 1 : 0;
}

static bool same(const unsigned char *p, size_t n)
{
    int wanted = expected(p, n);
    bool ok = read_steps(p, n, n == 0 ? 1 : n) == wanted && read_steps(p, n, 1) == wanted;
    if (!ok && n > 0)
        fprintf(stderr, "%zu bytes from %02x, wanted %d\n", n, p[0], wanted);
    return ok;
}

/* --- the tests --- */

static void test_all_short(void)
{
    unsigned char p[3] = { 0 };
    bool ok = same(p, 0);
    for (unsigned a = 0; a < 256; a++) {
        p[0] = (unsigned char)a;
        ok = ok && same(p, 1);
        for (unsigned b = 0; b < 256; b++) {
            p[1] = (unsigned char)b;
            ok = ok && same(p, 2);
        }
    }
    CHECK(ok);
}

/* Every combination of the bytes at which something changes, up to four of them, behind some ASCII or none. */
static void test_boundaries(void)
{
    static const unsigned char edges[] = {
        0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
        0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFF
    };
    enum { EDGES = sizeof edges };
    bool ok = true;
    for (unsigned i = 0; i < EDGES * EDGES * EDGES * EDGES; i++) {
        unsigned char p[4] = { edges[i % EDGES], edges[i / EDGES % EDGES], edges[i / EDGES / EDGES % EDGES],
                               edges[i / EDGES / EDGES / EDGES] };
        tri_ws_utf8 utf8 = { 0 };
        bool right = tri_ws_utf8_go_on(&utf8, (const char *)p, 4) && tri_ws_utf8_complete(&utf8);
        ok = ok && right == is_utf8(p, 4);
        if (i % 61 == 0)
            ok = ok && same(p, 4) && same(p, 3);
    }
    CHECK(ok);
}

/* Encodes any value in so many bytes, also where that is wrong. */
static void encode(uint32_t value, unsigned n, unsigned char *p)
{
    static const unsigned char first[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (unsigned i = n - 1; i > 0; i--, value >>= 6)
        p[i] = 0x80 | (value & 0x3F);
    p[0] = (unsigned char)(first[n] | value);
}

/* Every value in each of the forms that hold it. */
static void test_all_values(void)
{
    bool ok = true;
    for (uint32_t value = 0; value < 0x200000; value++) {
        for (unsigned n = value < 0x800 ? 2 : value < 0x10000 ? 3 : 4; n <= 4; n++) {
            unsigned char p[4];
            encode(value, n, p);
            tri_ws_utf8 utf8 = { 0 };
            bool right = tri_ws_utf8_go_on(&utf8, (const char *)p, n) && tri_ws_utf8_complete(&utf8);
            ok = ok && right == may_be(value, n);
        }
    }
    CHECK(ok);
}

/* A wrong byte is seen wherever it stands among ASCII, which is read many bytes at a time. */
static void test_among_ascii(void)
{
    bool ok = true;
    for (size_t n = 1; n <= 70; n++) {
        for (size_t at = 0; at < n; at++) {
            unsigned char p[70];
            memset(p, 'a', sizeof p);
            p[at] = 0xFF;
            ok = ok && same(p, n);
            p[at] = 0xC3;
            ok = ok && same(p, n);
            p[at + 1 < n ? at + 1 : at] = at + 1 < n ? 0xA9 : 'a';
            ok = ok && same(p, n) && read_steps(p, n, n) == 2;
        }
    }
    CHECK(ok);
}

/* Text of every kind with some damage, in pieces of every size. */
static void test_random(void)
{
    uint64_t random = 3629;
    for (unsigned round = 0; round < 3000; round++) {
        unsigned char p[200];
        size_t n = 0;
        while (n < 150) {
            unsigned size = random_below(&random, 2) ? 1 : 2 + (unsigned)random_below(&random, 3);
            static const uint32_t most[] = { 0, 0, 0x800, 0x10000, 0x110000 };
            if (size == 1)
                p[n] = (unsigned char)random_below(&random, 0x80);
            else
                encode((uint32_t)random_below(&random, most[size]), size, p + n);
            n += size;
        }
        n -= (size_t)random_below(&random, 140);
        if (random_below(&random, 4) == 0)
            p[random_below(&random, n)] = (unsigned char)random_next(&random);
        int wanted = expected(p, n);
        bool ok = true;
        for (size_t step = 1; step <= n; step++)
            ok = ok && read_steps(p, n, step) == wanted;
        CHECK(ok);
    }
}

int main(void)
{
    CHECK(sizeof(tri_ws_utf8) == 4);
    test_all_short();
    test_boundaries();
    test_all_values();
    test_among_ascii();
    test_random();
    return check_report();
}
