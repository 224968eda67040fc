/* The allocator's front and the pools. */
#include "check.h"

#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"

/* Every number of the closed list has its own text, and any other has one too. */
static void test_error_text(void)
{
    for (int error = TRI_ESYS; error <= TRI_OK; error++) {
        CHECK(strlen(tri_error_text(error)) > 0);
        CHECK(strcmp(tri_error_text(error), "unknown error") != 0);
        for (int other = TRI_ESYS; other < error; other++)
            CHECK(strcmp(tri_error_text(error), tri_error_text(other)) != 0);
    }
    CHECK(strcmp(tri_error_text(7), tri_error_text(TRI_OK)) == 0);
    CHECK(strcmp(tri_error_text(-1000), "unknown error") == 0);
}

/* The defaults hang together. */
static void test_limits(void)
{
    tri_limits limits;
    memset(&limits, 0xff, sizeof limits);
    tri_limits_default(&limits);
    CHECK(limits.request_line <= limits.head);
    CHECK(limits.head == 65536);
    CHECK(limits.fields == 100);
    CHECK(limits.body == 0 && limits.connections == 0 && limits.exchanges == 0);
    CHECK(limits.send_low < limits.send_high);
    CHECK(limits.keep_alive_ms == 5000);
    CHECK(limits.head_ms > 0 && limits.first_head_ms > 0 && limits.body_ms > 0 && limits.write_ms > 0);
}

/* What comes and goes in small blocks, a megabyte in all, leaves the heap as large as it was. */
static void test_keep(void)
{
    enum { BLOCKS = 100, SIZE = 10000 };
    const tri_mem *mem = tri_mem_libc();
    void *blocks[BLOCKS];
    tri_mem_keep();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < BLOCKS; i++)
            CHECK((blocks[i] = tri_mem_alloc(mem, SIZE)) != NULL);
        void *end = sbrk(0);
        for (int i = 0; i < BLOCKS; i++)
            tri_mem_free(mem, blocks[i], SIZE);
        CHECK(sbrk(0) == end);
    }
}

static void test_libc(void)
{
    const tri_mem *mem = tri_mem_libc();
    char *p = tri_mem_zalloc(mem, 100);
    CHECK(p != NULL);
    for (int i = 0; i < 100; i++)
        CHECK(p[i] == 0);
    memset(p, 'x', 100);
    p = tri_mem_resize(mem, p, 100, 10000);
    CHECK(p != NULL && p[0] == 'x' && p[99] == 'x');
    tri_mem_free(mem, p, 10000);
    tri_mem_free(mem, NULL, 0);
    CHECK(tri_mem_libc() == mem);
}

static void test_refusal(void)
{
    check_mem mem;
    check_mem_init(&mem);
    mem.fail_at = 1;
    CHECK(tri_mem_zalloc(&mem.mem, 10) == NULL);
    char *p = tri_mem_alloc(&mem.mem, 10);
    CHECK(p != NULL);
    p[9] = 'z';
    mem.fail_at = mem.requests + 1;
    CHECK(tri_mem_resize(&mem.mem, p, 10, 20) == NULL);
    CHECK(p[9] == 'z');
    tri_mem_free(&mem.mem, p, 10);
    CHECK(mem.bytes_out == 0 && mem.blocks_out == 0);
}

/* What was put back comes out again, last first; beyond `keep` it goes to the allocator. */
static void test_pool(void)
{
    check_mem mem;
    check_mem_init(&mem);
    tri_pool pool;
    tri_pool_init(&pool, &mem.mem, 24, 2);
    void *a = tri_pool_get(&pool);
    void *b = tri_pool_get(&pool);
    void *c = tri_pool_get(&pool);
    CHECK(a != NULL && b != NULL && c != NULL && a != b && b != c);
    memset(a, 1, 24);
    CHECK(mem.blocks_out == 3);
    tri_pool_put(&pool, a);
    tri_pool_put(&pool, b);
    CHECK(mem.blocks_out == 3);
    tri_pool_put(&pool, c);
    CHECK(mem.blocks_out == 2);
    size_t requests = mem.requests;
    CHECK(tri_pool_get(&pool) == b);
    CHECK(tri_pool_get(&pool) == a);
    CHECK(mem.requests == requests);
    tri_pool_put(&pool, a);
    tri_pool_put(&pool, b);
    tri_pool_fini(&pool);
    CHECK(mem.blocks_out == 0 && mem.bytes_out == 0);
}

/* What was needed since the last time is kept, and what is to be spare; the rest goes. */
static void test_pool_trim(void)
{
    check_mem mem;
    check_mem_init(&mem);
    tri_pool pool;
    tri_pool_init(&pool, &mem.mem, 32, 10);
    void *objects[6];
    for (int i = 0; i < 6; i++)
        objects[i] = tri_pool_get(&pool);
    for (int i = 0; i < 5; i++)
        tri_pool_put(&pool, objects[i]);
    CHECK(!tri_pool_trim(&pool, 2) && mem.blocks_out == 6); /* all were in use a moment ago */
    for (int i = 0; i < 3; i++)
        objects[i] = tri_pool_get(&pool);
    for (int i = 0; i < 3; i++)
        tri_pool_put(&pool, objects[i]);
    CHECK(tri_pool_trim(&pool, 1) && mem.blocks_out == 4 && pool.idle == 3);
    CHECK(!tri_pool_trim(&pool, 3) && pool.idle == 3);
    CHECK(tri_pool_trim(&pool, 2) && mem.blocks_out == 3 && pool.idle == 2);
    tri_pool_put(&pool, objects[5]);
    CHECK(pool.idle == 3 && !tri_pool_trim(&pool, 3));
    CHECK(tri_pool_trim(&pool, 0) && mem.blocks_out == 0 && pool.idle == 0);
    tri_pool_fini(&pool);
    CHECK(mem.blocks_out == 0 && mem.bytes_out == 0);
}

static void test_pool_refusal(void)
{
    check_mem mem;
    check_mem_init(&mem);
    tri_pool pool;
    tri_pool_init(&pool, &mem.mem, sizeof(void *), 0);
    mem.fail_at = 2;
    void *a = tri_pool_get(&pool);
    CHECK(a != NULL);
    CHECK(tri_pool_get(&pool) == NULL);
    tri_pool_put(&pool, a);
    CHECK(mem.blocks_out == 0);
    tri_pool_fini(&pool);
}

int main(void)
{
    test_error_text();
    test_limits();
    test_keep();
    test_libc();
    test_refusal();
    test_pool();
    test_pool_trim();
    test_pool_refusal();
    return check_report();
}
