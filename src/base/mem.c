#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* The resize function of the C library's allocator. */
static void *libc_resize(void *context, void *old, size_t old_size, size_t size)
{
    (void)context;
    (void)old_size;
    if (size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, size);
}

#ifdef __GLIBC__
static void libc_trim(void *context)
{
    (void)context;
    (void)malloc_trim(0);
}
#else
#define libc_trim NULL
#endif

void tri_mem_keep(void)
{
    void *volatile block = malloc(TRI_MEM_KEPT / 2);
    free(block);
}

const tri_mem *tri_mem_libc(void)
{
    static const tri_mem libc = { libc_resize, NULL, libc_trim };
    return &libc;
}

void *tri_mem_alloc(const tri_mem *mem, size_t size)
{
    assert(size > 0);
    return mem->resize(mem->context, NULL, 0, size);
}

void *tri_mem_zalloc(const tri_mem *mem, size_t size)
{
    void *p = tri_mem_alloc(mem, size);
    return p == NULL ? NULL : memset(p, 0, size);
}

void *tri_mem_resize(const tri_mem *mem, void *old, size_t old_size, size_t size)
{
    assert(size > 0);
    return mem->resize(mem->context, old, old_size, size);
}

void tri_mem_free(const tri_mem *mem, void *p, size_t size)
{
    if (p != NULL)
        (void)mem->resize(mem->context, p, size, 0);
}

void tri_pool_init(tri_pool *pool, const tri_mem *mem, size_t size, unsigned keep)
{
    assert(size >= sizeof(void *));
    *pool = (tri_pool){ .mem = mem, .size = size, .free = NULL, .idle = 0, .keep = keep };
}

/* Returns idle objects to the allocator until at most `most` are held. */
static void shrink(tri_pool *pool, unsigned most)
{
    while (pool->idle > most) {
        void *object = pool->free;
        memcpy(&pool->free, object, sizeof pool->free);
        tri_mem_free(pool->mem, object, pool->size);
        pool->idle--;
    }
    pool->unused = pool->idle < pool->unused ? pool->idle : pool->unused;
}

bool tri_pool_trim(tri_pool *pool, unsigned spare)
{
    unsigned used = pool->idle - pool->unused, before = pool->idle;
    shrink(pool, used > spare ? used : spare);
    pool->unused = pool->idle;
    bool freed = pool->overflowed || pool->idle < before;
    pool->overflowed = false;
    return freed;
}

void tri_pool_fini(tri_pool *pool)
{
    shrink(pool, 0);
}

void *tri_pool_get(tri_pool *pool)
{
    void *object = pool->free;
    if (object == NULL)
        return tri_mem_alloc(pool->mem, pool->size);
    memcpy(&pool->free, object, sizeof pool->free);
    pool->idle--;
    pool->unused = pool->idle < pool->unused ? pool->idle : pool->unused;
    return object;
}

void tri_pool_put(tri_pool *pool, void *object)
{
    if (pool->idle >= pool->keep) {
        pool->overflowed = true;
        tri_mem_free(pool->mem, object, pool->size);
        return;
    }
    memcpy(object, &pool->free, sizeof pool->free);
    pool->free = object;
    pool->idle++;
}
