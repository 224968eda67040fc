/* An allocator that keeps small blocks for reuse, by their size: for what takes and gives back many at a time. */
#ifndef TRI_BASE_SMALL_H
#define TRI_BASE_SMALL_H

#include "base/mem.h"

enum {
    TRI_SMALL_STEP = 64,   /* bytes by which the sizes that are kept differ */
    TRI_SMALL_CLASSES = 8, /* of sizes; what is larger goes to the allocator below at once */
};

typedef struct tri_small {
    tri_mem mem; /* what is handed on; it lives as long as this struct stays where it is */
    /* private */
    const tri_mem *under;
    tri_pool pools[TRI_SMALL_CLASSES];
} tri_small;

/* At most `keep` idle blocks of each size are held. */
void tri_small_init(tri_small *small, const tri_mem *under, unsigned keep);
/* Returns the idle blocks; what was taken must have been given back. */
void tri_small_fini(tri_small *small);
/* As tri_pool_trim(), for each size. */
bool tri_small_trim(tri_small *small, unsigned spare);
/* Whether more than `spare` blocks of a size are idle. */
bool tri_small_has_spare(const tri_small *small, unsigned spare);

#endif
