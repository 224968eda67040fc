/* The allocator that every layer is handed, so that a test can fail the N-th allocation. */
#ifndef TRI_BASE_MEM_H
#define TRI_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* One function for all, after Lua's: `old` NULL allocates, `size` 0 frees and returns NULL, else it resizes. Returns
   NULL when it refuses, and then `old` is still valid. `old_size` is what was asked for when `old` was obtained. */
typedef struct tri_mem {
    void *(*resize)(void *context, void *old, size_t old_size, size_t size);
    void *context;
    /* Gives what is free back to the system; may take milliseconds. NULL where there is nothing to do. */
    void (*trim)(void *context);
} tri_mem;

/* The C library's allocator. Static storage, never changes. */
const tri_mem *tri_mem_libc(void);

/* `size` bytes, not cleared, or NULL. The caller owns them. */
TRI_NODISCARD void *tri_mem_alloc(const tri_mem *mem, size_t size);
/* `size` zeroed bytes, or NULL. The caller owns them. */
TRI_NODISCARD void *tri_mem_zalloc(const tri_mem *mem, size_t size);
/* `old` grown or shrunk to `size`, or NULL with `old` untouched. */
TRI_NODISCARD void *tri_mem_resize(const tri_mem *mem, void *old, size_t old_size, size_t size);
/* Gives back what was obtained with `size`; NULL is fine. */
void tri_mem_free(const tri_mem *mem, void *p, size_t size);

enum { TRI_MEM_KEPT = 4 << 20 };
/* Has glibc keep up to TRI_MEM_KEPT bytes at the end of its heap, for the whole process. It gives back what is over
   128 KiB at first, and a few dozen bodies that come and go have it shrink and grow the heap, and the kernel clear its
   pages, again and again. It learns by itself to keep twice the size of a block that it had mapped alone and that was
   freed, unless the environment fixes its thresholds; so it is shown such a block. */
void tri_mem_keep(void);

/* Objects of one size, kept for reuse. At most `keep` idle ones are held; the rest go back to the allocator. */
typedef struct tri_pool {
    const tri_mem *mem;
    size_t size;
    /* private */
    void *free;
    unsigned idle;
    unsigned unused; /* the fewest that were idle since tri_pool_trim() */
    unsigned keep;
    bool overflowed; /* since tri_pool_trim(), some went back as `keep` were idle */
} tri_pool;

/* `size` is at least that of a pointer. */
void tri_pool_init(tri_pool *pool, const tri_mem *mem, size_t size, unsigned keep);
/* Returns the idle objects; those still out must have been put back. */
void tri_pool_fini(tri_pool *pool);
/* An object with undefined contents, or NULL. */
TRI_NODISCARD void *tri_pool_get(tri_pool *pool);
/* Returns those that have not been needed since the last time to the allocator, but keeps `spare`. Returns whether any
   went back since then, now or before. */
bool tri_pool_trim(tri_pool *pool, unsigned spare);
void tri_pool_put(tri_pool *pool, void *object);

#endif
