/* Small blocks are kept and come out again; large ones pass through; nothing is lost when memory runs out. */
#include "base/small.h"

#include <string.h>

#include "check.h"

/* Small blocks come back without the allocator below being asked. */
static void test_reuse(void)
{
    check_mem mem;
    tri_small small;
    check_mem_init(&mem);
    tri_small_init(&small, &mem.mem, 2);
    void *a = tri_mem_alloc(&small.mem, 1), *b = tri_mem_alloc(&small.mem, 64), *c = tri_mem_alloc(&small.mem, 65);
    CHECK(a != NULL && b != NULL && c != NULL && mem.blocks_out == 3 && mem.bytes_out == 64 + 64 + 128);
    tri_mem_free(&small.mem, a, 1);
    tri_mem_free(&small.mem, c, 65);
    CHECK(mem.blocks_out == 3 && !tri_small_has_spare(&small, 1) && tri_small_has_spare(&small, 0));
    size_t requests = mem.requests;
    CHECK(tri_mem_alloc(&small.mem, 40) == a && tri_mem_alloc(&small.mem, 128) == c && mem.requests == requests);
    tri_mem_free(&small.mem, a, 40);
    tri_mem_free(&small.mem, b, 64);
    tri_mem_free(&small.mem, c, 128);
    tri_small_fini(&small);
    CHECK(mem.blocks_out == 0 && mem.bytes_out == 0);
}

/* No more are kept than was said, and what nobody needs goes back in time. */
static void test_bounds(void)
{
    check_mem mem;
    tri_small small;
    void *blocks[4];
    check_mem_init(&mem);
    tri_small_init(&small, &mem.mem, 3);
    for (int i = 0; i < 4; i++)
        blocks[i] = tri_mem_alloc(&small.mem, 512);
    for (int i = 0; i < 4; i++)
        tri_mem_free(&small.mem, blocks[i], 512);
    CHECK(mem.blocks_out == 3);
    CHECK(tri_small_trim(&small, 1) && mem.blocks_out == 3); /* one went back, the others were needed lately */
    CHECK(tri_small_trim(&small, 1) && mem.blocks_out == 1);
    CHECK(!tri_small_trim(&small, 1));
    void *large = tri_mem_alloc(&small.mem, 513);
    CHECK(large != NULL && mem.blocks_out == 2);
    tri_mem_free(&small.mem, large, 513);
    CHECK(mem.blocks_out == 1);
    tri_small_fini(&small);
    CHECK(mem.blocks_out == 0 && mem.bytes_out == 0);
}

/* What is in a block stays in it at every size. */
static void test_resize(void)
{
    static const size_t sizes[] = { 1, 63, 64, 65, 128, 500, 512, 513, 4000, 600, 512, 100, 64, 3 };
    check_mem mem;
    tri_small small;
    check_mem_init(&mem);
    tri_small_init(&small, &mem.mem, 4);
    char *p = tri_mem_alloc(&small.mem, 1);
    size_t size = 1;
    CHECK(p != NULL);
    *p = 'a';
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t same = size < sizes[i] ? size : sizes[i];
        p = tri_mem_resize(&small.mem, p, size, sizes[i]);
        CHECK(p != NULL);
        for (size_t k = 0; k < same; k++)
            CHECK(p[k] == 'a');
        size = sizes[i];
        memset(p, 'a', size);
    }
    tri_mem_free(&small.mem, p, size);
    tri_small_fini(&small);
    CHECK(mem.blocks_out == 0 && mem.bytes_out == 0);
}

/* A refusal below leaves the old block as it was. */
static void test_refusal(void)
{
    check_mem mem;
    tri_small small;
    check_mem_init(&mem);
    tri_small_init(&small, &mem.mem, 4);
    char *p = tri_mem_alloc(&small.mem, 10);
    CHECK(p != NULL);
    memcpy(p, "still here", 10);
    mem.fail_at = mem.requests + 1;
    CHECK(tri_mem_resize(&small.mem, p, 10, 100) == NULL && memcmp(p, "still here", 10) == 0);
    mem.fail_at = mem.requests + 1;
    CHECK(tri_mem_resize(&small.mem, p, 10, 1000) == NULL && memcmp(p, "still here", 10) == 0);
    mem.fail_at = mem.requests + 1;
    CHECK(tri_mem_alloc(&small.mem, 200) == NULL);
    tri_mem_free(&small.mem, p, 10);
    tri_small_fini(&small);
    CHECK(mem.blocks_out == 0 && mem.bytes_out == 0);
}

/* What is to go back to the system is the matter of the allocator below. */
static void test_trim_below(void)
{
    check_mem mem;
    tri_small small;
    check_mem_init(&mem);
    tri_small_init(&small, &mem.mem, 4);
    small.mem.trim(small.mem.context);
    CHECK(mem.trims == 1);
    mem.mem.trim = NULL;
    small.mem.trim(small.mem.context);
    CHECK(mem.trims == 1);
    tri_small_fini(&small);
}

int main(void)
{
    test_reuse();
    test_bounds();
    test_resize();
    test_refusal();
    test_trim_below();
    return check_report();
}
