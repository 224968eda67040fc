#include "base/small.h"

#include <string.h>

/* Which of the pools blocks of that size are in; TRI_SMALL_CLASSES for those that are too large. */
static size_t class_of(size_t size)
{
    size_t class = (size - 1) / TRI_SMALL_STEP;
    return class < TRI_SMALL_CLASSES ? class : TRI_SMALL_CLASSES;
}

/* A block of that size, or NULL. */
static void *take(tri_small *small, size_t size)
{
    size_t class = class_of(size);
    return class == TRI_SMALL_CLASSES ? tri_mem_alloc(small->under, size) : tri_pool_get(&small->pools[class]);
}

/* Takes a block back. */
static void give(tri_small *small, void *block, size_t size)
{
    size_t class = class_of(size);
    if (class == TRI_SMALL_CLASSES)
        tri_mem_free(small->under, block, size);
    else
        tri_pool_put(&small->pools[class], block);
}

/* The contract of tri_mem. */
static void *resize(void *context, void *old, size_t old_size, size_t size)
{
    tri_small *small = context;
    if (old == NULL)
        return size == 0 ? NULL : take(small, size);
    if (size == 0) {
        give(small, old, old_size);
        return NULL;
    }
    size_t class = class_of(size);
    if (class == class_of(old_size))
        return class == TRI_SMALL_CLASSES ? tri_mem_resize(small->under, old, old_size, size) : old;
    void *fresh = take(small, size);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, old, old_size < size ? old_size : size);
    give(small, old, old_size);
    return fresh;
}

/* Passed on to the allocator below. */
static void trim_under(void *context)
{
    const tri_small *small = context;
    if (small->under->trim != NULL)
        small->under->trim(small->under->context);
}

void tri_small_init(tri_small *small, const tri_mem *under, unsigned keep)
{
    small->mem = (tri_mem){ .resize = resize, .context = small, .trim = trim_under };
    small->under = under;
    for (size_t i = 0; i < TRI_SMALL_CLASSES; i++)
        tri_pool_init(&small->pools[i], under, (i + 1) * TRI_SMALL_STEP, keep);
}

void tri_small_fini(tri_small *small)
{
    for (size_t i = 0; i < TRI_SMALL_CLASSES; i++)
        tri_pool_fini(&small->pools[i]);
}

bool tri_small_trim(tri_small *small, unsigned spare)
{
    bool any = false;
    for (size_t i = 0; i < TRI_SMALL_CLASSES; i++)
        any = tri_pool_trim(&small->pools[i], spare) || any;
    return any;
}

bool tri_small_has_spare(const tri_small *small, unsigned spare)
{
    for (size_t i = 0; i < TRI_SMALL_CLASSES; i++)
        if (small->pools[i].idle > spare)
            return true;
    return false;
}
