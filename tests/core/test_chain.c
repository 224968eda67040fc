/* The output chain, alone and against a model. */
#include "check.h"
#include "random.h"

#include "base/chain.h"

/* A pool with an allocator that counts, and a chain on it. */
typedef struct fixture {
    check_mem mem;
    tri_chain_pool pool;
    tri_chain chain;
} fixture;

static void fixture_init(fixture *self)
{
    check_mem_init(&self->mem);
    tri_chain_pool_init(&self->pool, &self->mem.mem);
    tri_chain_init(&self->chain);
}

/* Clears everything and checks that no memory is left out. */
static void fixture_fini(fixture *self)
{
    tri_chain_clear(&self->chain, &self->pool);
    CHECK(self->chain.bytes == 0 && self->chain.first == NULL && self->chain.last == NULL);
    tri_chain_pool_fini(&self->pool);
    CHECK(self->mem.blocks_out == 0 && self->mem.bytes_out == 0);
}

/* Blocks and segments that are out of their pools. */
static size_t in_use(const fixture *self)
{
    return self->mem.blocks_out - self->pool.blocks.idle - self->pool.segments.idle;
}

/* Whether the chain's bytes are exactly `text`. */
static bool reads(const tri_chain *chain, const char *text)
{
    struct iovec iov[64];
    int n = tri_chain_iov(chain, iov, 64, SIZE_MAX);
    size_t at = 0, length = strlen(text);
    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len > length - at || memcmp(text + at, iov[i].iov_base, iov[i].iov_len) != 0)
            return false;
        at += iov[i].iov_len;
    }
    return at == length && chain->bytes == length;
}

/* The owner of a loan in these tests: counts how often it was released. */
static void count_release(void *owner)
{
    ++*(int *)owner;
}

/* A loan of `text` whose releases are counted in `count`. */
static tri_loan lend(const char *text, int *count)
{
    return (tri_loan){ { text, strlen(text) }, count_release, count };
}

static void test_copy_and_borrow(void)
{
    fixture f;
    int released = 0;
    fixture_init(&f);
    CHECK(f.mem.requests == 0);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("")) == TRI_OK);
    CHECK(f.chain.first == NULL && f.mem.requests == 0);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("HTTP/1.1 ")) == TRI_OK);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("200 OK")) == TRI_OK);
    CHECK(tri_chain_borrow(&f.chain, &f.pool, lend("<body>", &released)) == TRI_OK);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("tail")) == TRI_OK);
    CHECK(reads(&f.chain, "HTTP/1.1 200 OK<body>tail"));
    CHECK(in_use(&f) == 3);
    tri_chain_consume(&f.chain, &f.pool, 17);
    CHECK(released == 0 && reads(&f.chain, "ody>tail"));
    tri_chain_consume(&f.chain, &f.pool, 4);
    CHECK(released == 1 && reads(&f.chain, "tail"));
    tri_chain_consume(&f.chain, &f.pool, 4);
    CHECK(f.chain.bytes == 0 && f.chain.first == NULL && in_use(&f) == 0);
    tri_chain_consume(&f.chain, &f.pool, 0);
    fixture_fini(&f);
    CHECK(released == 1);
}

/* A borrowed piece goes out from its owner's memory, also when it is large; none at all is given back at once. */
static void test_borrow_is_not_a_copy(void)
{
    fixture f;
    struct iovec iov[4];
    int released = 0;
    fixture_init(&f);
    static const char large[100000];
    tri_loan loan = { { large, sizeof large }, count_release, &released };
    CHECK(tri_chain_borrow(&f.chain, &f.pool, loan) == TRI_OK);
    CHECK(tri_chain_iov(&f.chain, iov, 4, SIZE_MAX) == 1);
    CHECK(iov[0].iov_base == large && iov[0].iov_len == sizeof large);
    CHECK(tri_chain_iov(&f.chain, iov, 4, 1000) == 1 && iov[0].iov_len == 1000);
    CHECK(f.mem.bytes_out < 100);
    CHECK(tri_chain_borrow(&f.chain, &f.pool, lend("", &released)) == TRI_OK);
    CHECK(released == 1 && f.chain.bytes == sizeof large);
    tri_chain_clear(&f.chain, &f.pool);
    CHECK(released == 2);
    fixture_fini(&f);
}

static void test_reserve_commit(void)
{
    fixture f;
    fixture_init(&f);
    size_t most = TRI_CHAIN_BLOCK - 64;
    char *p = tri_chain_reserve(&f.chain, &f.pool, most);
    CHECK(p != NULL && f.chain.bytes == 0);
    memset(p, 'a', most);
    tri_chain_commit(&f.chain, 3);
    char *q = tri_chain_reserve(&f.chain, &f.pool, 20);
    CHECK(q == p + 3 && reads(&f.chain, "aaa"));
    memcpy(q, "bbbbbbbbbbbbbbbbbbbb", 20);
    tri_chain_commit(&f.chain, 20);
    p = tri_chain_reserve(&f.chain, &f.pool, most);
    CHECK(p != NULL && in_use(&f) == 2);
    memset(p, 'd', most);
    tri_chain_commit(&f.chain, 1);
    CHECK(reads(&f.chain, "aaabbbbbbbbbbbbbbbbbbbbd"));
    tri_chain_clear(&f.chain, &f.pool);
    CHECK(in_use(&f) == 0);
    /* A reservation that comes to nothing, between others and alone. */
    CHECK(tri_chain_reserve(&f.chain, &f.pool, 1) != NULL);
    tri_chain_commit(&f.chain, 0);
    int released = 0;
    CHECK(tri_chain_borrow(&f.chain, &f.pool, lend("x", &released)) == TRI_OK);
    CHECK(reads(&f.chain, "x"));
    tri_chain_consume(&f.chain, &f.pool, 1);
    CHECK(released == 1 && in_use(&f) == 0);
    CHECK(tri_chain_reserve(&f.chain, &f.pool, 1) != NULL);
    tri_chain_consume(&f.chain, &f.pool, 0);
    CHECK(in_use(&f) == 0);
    fixture_fini(&f);
}

/* `max` entries and `limit` bytes both hold. */
static void test_iov_limits(void)
{
    fixture f;
    struct iovec iov[4];
    int released = 0;
    fixture_init(&f);
    CHECK(tri_chain_iov(&f.chain, iov, 4, SIZE_MAX) == 0);
    for (int i = 0; i < 6; i++)
        CHECK(tri_chain_borrow(&f.chain, &f.pool, lend("12345", &released)) == TRI_OK);
    CHECK(tri_chain_iov(&f.chain, iov, 4, SIZE_MAX) == 4);
    CHECK(tri_chain_iov(&f.chain, iov, 4, 0) == 0);
    CHECK(tri_chain_iov(&f.chain, iov, 0, 100) == 0);
    CHECK(tri_chain_iov(&f.chain, iov, 4, 5) == 1);
    CHECK(tri_chain_iov(&f.chain, iov, 4, 12) == 3 && iov[2].iov_len == 2);
    tri_chain_consume(&f.chain, &f.pool, 7);
    CHECK(released == 1 && tri_chain_iov(&f.chain, iov, 4, 3) == 1 && iov[0].iov_len == 3);
    CHECK(memcmp(iov[0].iov_base, "345", 3) == 0);
    fixture_fini(&f);
    CHECK(released == 6);
}

static void test_rollback(void)
{
    fixture f;
    int kept = 0, dropped = 0;
    fixture_init(&f);
    tri_chain_mark empty = tri_chain_here(&f.chain);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("one")) == TRI_OK);
    tri_chain_mark one = tri_chain_here(&f.chain);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("two")) == TRI_OK);
    tri_chain_rollback(&f.chain, &f.pool, one);
    CHECK(reads(&f.chain, "one"));
    CHECK(tri_chain_borrow(&f.chain, &f.pool, lend("kept", &kept)) == TRI_OK);
    tri_chain_mark behind_loan = tri_chain_here(&f.chain);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("three")) == TRI_OK);
    CHECK(tri_chain_borrow(&f.chain, &f.pool, lend("dropped", &dropped)) == TRI_OK);
    tri_chain_rollback(&f.chain, &f.pool, behind_loan);
    CHECK(dropped == 1 && kept == 0 && reads(&f.chain, "onekept"));
    tri_chain_rollback(&f.chain, &f.pool, behind_loan);
    CHECK(reads(&f.chain, "onekept"));
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("!")) == TRI_OK);
    CHECK(reads(&f.chain, "onekept!"));
    tri_chain_rollback(&f.chain, &f.pool, empty);
    CHECK(kept == 1 && f.chain.bytes == 0 && in_use(&f) == 0);
    fixture_fini(&f);
}

/* A mark outlives the writing of what is before it, even when the block it was in has gone and come back. */
static void test_mark_survives_consume(void)
{
    fixture f;
    int released = 0;
    fixture_init(&f);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("before")) == TRI_OK);
    tri_chain_mark mark = tri_chain_here(&f.chain);
    tri_chain_consume(&f.chain, &f.pool, 6);
    CHECK(in_use(&f) == 0);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("a much longer answer")) == TRI_OK);
    tri_chain_rollback(&f.chain, &f.pool, mark);
    CHECK(f.chain.bytes == 0 && in_use(&f) == 0);
    CHECK(tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("partly")) == TRI_OK);
    mark = tri_chain_here(&f.chain);
    CHECK(tri_chain_borrow(&f.chain, &f.pool, lend("loan", &released)) == TRI_OK);
    tri_chain_consume(&f.chain, &f.pool, 4);
    tri_chain_rollback(&f.chain, &f.pool, mark);
    CHECK(released == 1 && reads(&f.chain, "ly"));
    mark = tri_chain_here(&f.chain);
    tri_chain_clear(&f.chain, &f.pool);
    tri_chain_rollback(&f.chain, &f.pool, mark);
    CHECK(f.chain.bytes == 0);
    fixture_fini(&f);
}

/* Copies far beyond a block, with each allocation on the way refused in turn: all or nothing. */
static void test_refusal(void)
{
    static char large[5 * TRI_CHAIN_BLOCK];
    memset(large, 'L', sizeof large);
    for (size_t fail_at = 1; fail_at < 10; fail_at++) {
        fixture f;
        int released = 0;
        fixture_init(&f);
        f.mem.fail_at = fail_at;
        int borrowed = tri_chain_borrow(&f.chain, &f.pool, lend("first", &released));
        CHECK(borrowed == (fail_at == 1 ? TRI_ENOMEM : TRI_OK));
        size_t before = f.chain.bytes;
        int small = tri_chain_copy(&f.chain, &f.pool, TRI_SPAN("small"));
        CHECK(small == (fail_at == 2 ? TRI_ENOMEM : TRI_OK));
        before += small == TRI_OK ? 5 : 0;
        CHECK(f.chain.bytes == before);
        int copied = tri_chain_copy(&f.chain, &f.pool, (tri_span){ large, sizeof large });
        CHECK(f.chain.bytes == before + (copied == TRI_OK ? sizeof large : 0));
        CHECK(copied == (fail_at > 2 && fail_at < 8 ? TRI_ENOMEM : TRI_OK));
        CHECK(released == 0);
        fixture_fini(&f);
        CHECK(released == (borrowed == TRI_OK));
    }
}

/* What a release function that appends needs. */
typedef struct appender {
    fixture *f;
    int left;
} appender;

static void append_on_release(void *owner)
{
    appender *self = owner;
    if (self->left-- == 0)
        return;
    CHECK(tri_chain_copy(&self->f->chain, &self->f->pool, TRI_SPAN("more")) == TRI_OK);
}

/* Releasing may append to the same chain: nothing is lost and nothing is released twice. */
static void test_release_appends(void)
{
    fixture f;
    fixture_init(&f);
    appender owner = { &f, 1 };
    tri_loan loan = { TRI_SPAN("lent"), append_on_release, &owner };
    CHECK(tri_chain_borrow(&f.chain, &f.pool, loan) == TRI_OK);
    tri_chain_consume(&f.chain, &f.pool, 4);
    CHECK(owner.left == 0 && reads(&f.chain, "more"));
    owner.left = 1;
    CHECK(tri_chain_borrow(&f.chain, &f.pool, loan) == TRI_OK);
    tri_chain_clear(&f.chain, &f.pool);
    CHECK(owner.left == 0 && reads(&f.chain, "more"));
    owner.left = 1;
    tri_chain_mark mark = tri_chain_here(&f.chain);
    CHECK(tri_chain_borrow(&f.chain, &f.pool, loan) == TRI_OK);
    tri_chain_rollback(&f.chain, &f.pool, mark);
    CHECK(reads(&f.chain, "moremore"));
    fixture_fini(&f);
}

enum { MODEL = 1 << 16 };

/* The model: every byte ever appended is a function of its place, and loans count themselves. */
typedef struct model {
    fixture f;
    uint64_t state;
    uint64_t start; /* place of the first byte still to be written */
    uint64_t end;
    int lent;
    int released;
} model;

static char pattern[MODEL + 9000];

/* The bytes that belong at place `at`. */
static const char *expected(uint64_t at)
{
    return pattern + at % 251;
}

/* Appends some bytes in one of the three ways. */
static void model_append(model *self)
{
    size_t n = random_below(&self->state, (uint64_t)2 << random_below(&self->state, 13));
    int error = TRI_ENOMEM;
    if (random_below(&self->state, 10) == 0)
        self->f.mem.fail_at = self->f.mem.requests + 1;
    switch (random_below(&self->state, 3)) {
    case 0:
        error = tri_chain_copy(&self->f.chain, &self->f.pool, (tri_span){ expected(self->end), n });
        break;
    case 1: {
        n %= TRI_CHAIN_BLOCK - 64;
        char *p = tri_chain_reserve(&self->f.chain, &self->f.pool, n);
        if (p == NULL)
            break;
        memcpy(p, expected(self->end), n);
        n -= random_below(&self->state, n + 1);
        tri_chain_commit(&self->f.chain, n);
        error = TRI_OK;
        break;
    }
    default: {
        tri_loan loan = { { expected(self->end), n }, count_release, &self->released };
        error = tri_chain_borrow(&self->f.chain, &self->f.pool, loan);
        self->lent += error == TRI_OK;
        break;
    }
    }
    self->f.mem.fail_at = 0;
    CHECK(error == TRI_OK || error == TRI_ENOMEM);
    self->end += error == TRI_OK ? n : 0;
}

/* Writes some bytes, comparing them. */
static void model_write(model *self)
{
    struct iovec iov[16];
    size_t limit = random_below(&self->state, 20000), total = 0;
    int n = tri_chain_iov(&self->f.chain, iov, (int)random_below(&self->state, 17), limit);
    bool same = true;
    for (int i = 0; i < n; i++) {
        same = same && iov[i].iov_len > 0;
        same = same && memcmp(iov[i].iov_base, expected(self->start + total), iov[i].iov_len) == 0;
        total += iov[i].iov_len;
    }
    CHECK(same && total <= limit);
    size_t wrote = total == 0 ? 0 : random_below(&self->state, total + 1);
    tri_chain_consume(&self->f.chain, &self->f.pool, wrote);
    self->start += wrote;
}

/* Appends a few times and changes its mind, with some writing of what is before the mark in between. */
static void model_rollback(model *self)
{
    tri_chain_mark mark = tri_chain_here(&self->f.chain);
    uint64_t end = self->end;
    for (uint64_t times = random_below(&self->state, 4); times > 0; times--)
        model_append(self);
    size_t wrote = random_below(&self->state, end - self->start + 1);
    tri_chain_consume(&self->f.chain, &self->f.pool, wrote);
    self->start += wrote;
    tri_chain_rollback(&self->f.chain, &self->f.pool, mark);
    self->end = end;
}

static void test_model(void)
{
    static model self;
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i % 251);
    fixture_init(&self.f);
    self.state = 2024;
    for (int round = 0; round < 30000; round++) {
        uint64_t choice = random_below(&self.state, 8);
        if (choice < 3 && self.end - self.start < MODEL)
            model_append(&self);
        else if (choice == 3)
            model_rollback(&self);
        else
            model_write(&self);
        CHECK(self.f.chain.bytes == self.end - self.start);
    }
    tri_chain_consume(&self.f.chain, &self.f.pool, self.f.chain.bytes);
    CHECK(in_use(&self.f) == 0);
    fixture_fini(&self.f);
    CHECK(self.lent == self.released && self.lent > 1000);
}

/* What a release sees of the chain in the midst of a consume. */
typedef struct witness {
    const fixture *f;
    size_t bytes;
    int seen;
} witness;

static void look_on_release(void *owner)
{
    witness *self = owner;
    struct iovec iov[8];
    int n = tri_chain_iov(&self->f->chain, iov, 8, SIZE_MAX);
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += iov[i].iov_len;
    CHECK(bytes == self->bytes && self->f->chain.bytes == self->bytes);
    self->seen++;
}

/* Several borrowed pieces are consumed at once: whoever is told first already sees the chain without all of them. */
static void test_release_sees_the_rest(void)
{
    fixture f;
    fixture_init(&f);
    witness self = { &f, 2, 0 };
    for (int i = 0; i < 3; i++) {
        tri_loan loan = { TRI_SPAN("piece"), look_on_release, &self };
        CHECK(tri_chain_borrow(&f.chain, &f.pool, loan) == TRI_OK);
    }
    tri_chain_consume(&f.chain, &f.pool, 13);
    CHECK(self.seen == 2);
    self.bytes = 0;
    tri_chain_consume(&f.chain, &f.pool, 2);
    CHECK(self.seen == 3);
    fixture_fini(&f);
}

/* The pool keeps a bounded number of blocks, however many were out at once. */
/* Bytes move from chain to chain in pieces of any size, and each loan is given back once, when both have done with it.
 */
static void test_move(void)
{
    static char large[3000];
    memset(large, 'l', sizeof large);
    large[sizeof large - 1] = '\0';
    for (size_t piece = 1; piece < 4000; piece = piece * 2 + 1) {
        fixture self;
        fixture_init(&self);
        tri_chain from;
        tri_chain_init(&from);
        int released = 0;
        CHECK(tri_chain_copy(&from, &self.pool, TRI_SPAN("few ")) == TRI_OK);
        CHECK(tri_chain_borrow(&from, &self.pool, lend(large, &released)) == TRI_OK);
        CHECK(tri_chain_copy(&from, &self.pool, (tri_span){ large, 600 }) == TRI_OK);
        CHECK(tri_chain_copy(&self.chain, &self.pool, TRI_SPAN("> ")) == TRI_OK);
        size_t all = from.bytes;
        CHECK(all == 4 + sizeof large - 1 + 600);
        while (from.bytes > 0)
            CHECK(tri_chain_move(&self.chain, &from, &self.pool, from.bytes < piece ? from.bytes : piece) == TRI_OK);
        CHECK(from.first == NULL && from.last == NULL && self.chain.bytes == all + 2);
        char text[8] = "";
        struct iovec iov[1];
        CHECK(tri_chain_iov(&self.chain, iov, 1, 6) == 1);
        memcpy(text, iov[0].iov_base, iov[0].iov_len);
        CHECK(strncmp(text, "> few ", iov[0].iov_len) == 0);
        CHECK(released == 0);
        tri_chain_consume(&self.chain, &self.pool, 6 + sizeof large - 1);
        CHECK(released == 1 && self.chain.bytes == 600);
        fixture_fini(&self);
    }
}

/* A chain that is dropped while another has a part of its loan leaves it to that. */
static void test_move_shares(void)
{
    static char large[3000];
    memset(large, 'l', sizeof large - 1);
    for (int i = 0; i < 2; i++) {
        fixture self;
        fixture_init(&self);
        tri_chain from;
        tri_chain_init(&from);
        int released = 0;
        CHECK(tri_chain_borrow(&from, &self.pool, lend(large, &released)) == TRI_OK);
        CHECK(tri_chain_move(&self.chain, &from, &self.pool, 1000) == TRI_OK);
        CHECK(tri_chain_move(&self.chain, &from, &self.pool, 1000) == TRI_OK && from.bytes == 999);
        if (i == 0)
            tri_chain_clear(&from, &self.pool);
        else
            tri_chain_clear(&self.chain, &self.pool);
        CHECK(released == 0);
        tri_chain_clear(i == 0 ? &self.chain : &from, &self.pool);
        CHECK(released == 1);
        fixture_fini(&self);
    }
}

/* When memory is short, what was not moved stays, and nothing is lost. */
static void test_move_refused(void)
{
    static char large[3000];
    memset(large, 'l', sizeof large - 1);
    for (size_t fail_at = 1; fail_at < 5; fail_at++) {
        fixture self;
        fixture_init(&self);
        tri_chain from;
        tri_chain_init(&from);
        int released = 0;
        CHECK(tri_chain_copy(&from, &self.pool, TRI_SPAN("few ")) == TRI_OK);
        CHECK(tri_chain_borrow(&from, &self.pool, lend(large, &released)) == TRI_OK);
        self.mem.requests = 0;
        self.mem.fail_at = fail_at;
        int error = tri_chain_move(&self.chain, &from, &self.pool, 1000);
        CHECK(error == (fail_at <= 3 ? TRI_ENOMEM : TRI_OK) && from.bytes + self.chain.bytes == 3003);
        self.mem.fail_at = 0;
        CHECK(tri_chain_move(&self.chain, &from, &self.pool, from.bytes) == TRI_OK && self.chain.bytes == 3003);
        tri_chain_clear(&self.chain, &self.pool);
        CHECK(released == 1);
        fixture_fini(&self);
    }
}

static void test_pool_is_bounded(void)
{
    static char large[600 * TRI_CHAIN_BLOCK];
    fixture f;
    fixture_init(&f);
    CHECK(tri_chain_copy(&f.chain, &f.pool, (tri_span){ large, sizeof large }) == TRI_OK);
    size_t most = f.mem.bytes_out;
    tri_chain_consume(&f.chain, &f.pool, sizeof large);
    CHECK(most > sizeof large && f.mem.bytes_out <= (size_t)2 << 20);
    fixture_fini(&f);
}

int main(void)
{
    test_copy_and_borrow();
    test_borrow_is_not_a_copy();
    test_reserve_commit();
    test_iov_limits();
    test_rollback();
    test_mark_survives_consume();
    test_refusal();
    test_release_appends();
    test_release_sees_the_rest();
    test_model();
    test_move();
    test_move_shares();
    test_move_refused();
    test_pool_is_bounded();
    return check_report();
}
