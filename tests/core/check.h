/* The C tests' harness: checks that count, memory that ends at a protected page, and an allocator that fails on demand.
 */
#ifndef TRI_TESTS_CHECK_H
#define TRI_TESTS_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

static unsigned check_passed, check_failed;

/* Counts one check; a failed one is shown with its place and the program exits with 1 at the end. */
#define CHECK(condition)                                                    \
    do {                                                                    \
        if (condition) {                                                    \
            check_passed++;                                                 \
        } else {                                                            \
            check_failed++;                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                   \
    } while (0)

/* The last line of main: prints the tally that CI reads and returns the exit code. */
static inline int check_report(void)
{
    printf("%u passed, %u failed\n", check_passed, check_failed);
    return check_failed != 0;
}

/* A writable copy of `n` bytes whose last byte is followed by an unreadable page, so that reading one too many crashes.
 */
typedef struct check_page {
    char *p;
    void *map;
    size_t map_size;
} check_page;

static inline check_page check_page_copy(const void *bytes, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (n / page + 1) * page;
    check_page out = { NULL, NULL, body + page };
    out.map = mmap(NULL, out.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (out.map == MAP_FAILED || mprotect((char *)out.map + body, page, PROT_NONE) != 0)
        abort();
    out.p = (char *)out.map + body - n;
    if (n > 0)
        memcpy(out.p, bytes, n);
    return out;
}

static inline void check_page_free(check_page *page)
{
    munmap(page->map, page->map_size);
}

enum { CHECK_REUSED = 1 << 18 };

/* The same for at most CHECK_REUSED bytes, in memory that each call takes again: for the many pieces of an input. What
   was borrowed from the last one is overwritten, as it must not be used any more. */
static inline char *check_page_reuse(const void *bytes, size_t n)
{
    static const char zeros[CHECK_REUSED];
    static char *end;
    static size_t last;
    if (n > CHECK_REUSED)
        abort();
    if (end == NULL)
        end = check_page_copy(zeros, sizeof zeros).p + sizeof zeros;
    memset(end - last, 0xdd, last);
    last = n;
    if (n > 0)
        memcpy(end - n, bytes, n);
    return end - n;
}

/* An allocator that counts, refuses the `fail_at`-th request (1 is the next one; 0 never) and `fail_more` after it, and
   knows what is still out. */
typedef struct check_mem {
    tri_mem mem;
    size_t requests;
    size_t fail_at;
    size_t fail_more;
    size_t bytes_out;
    size_t blocks_out;
    size_t trims; /* how often it was asked to give back what is free */
} check_mem;

static inline void *check_mem_resize(void *context, void *old, size_t old_size, size_t size)
{
    check_mem *self = context;
    if (size == 0) {
        if (old != NULL) {
            self->bytes_out -= old_size;
            self->blocks_out--;
        }
        free(old);
        return NULL;
    }
    self->requests++;
    if (self->fail_at != 0 && self->requests >= self->fail_at && self->requests - self->fail_at <= self->fail_more)
        return NULL;
    void *p = realloc(old, size);
    if (p == NULL)
        return NULL;
    self->bytes_out += size - (old == NULL ? 0 : old_size);
    self->blocks_out += old == NULL;
    return p;
}

static inline void check_mem_trim(void *context)
{
    check_mem *self = context;
    self->trims++;
}

static inline void check_mem_init(check_mem *self)
{
    memset(self, 0, sizeof *self);
    self->mem.trim = check_mem_trim;
    self->mem.resize = check_mem_resize;
    self->mem.context = self;
}

#endif
