/* The output chain: bytes on their way to the socket, copied into pooled blocks when few, borrowed from their owner
   when many. */
#ifndef TRI_BASE_CHAIN_H
#define TRI_BASE_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

/* Bytes of a copied block, header included. */
enum { TRI_CHAIN_BLOCK = 4096 };

/* What the chains of one worker share: pools of blocks and of borrowed segments. */
typedef struct tri_chain_pool {
    tri_pool blocks;
    tri_pool segments;
} tri_chain_pool;

typedef struct tri_segment tri_segment;

/* An embedded chain. Empty, it holds no memory. */
typedef struct tri_chain {
    tri_segment *first;
    tri_segment *last;
    size_t bytes; /* still to be written */
    /* private */
    uint64_t gone; /* bytes consumed or cleared so far */
} tri_chain;

/* A place to come back to; see tri_chain_rollback. */
typedef struct tri_chain_mark {
    /* private */
    uint64_t at; /* bytes ever appended before it */
} tri_chain_mark;

/* Bytes borrowed until `release(owner)` is called, which happens exactly once, when they have been written or dropped.
 */
typedef struct tri_loan {
    tri_span bytes;
    void (*release)(void *owner);
    void *owner;
} tri_loan;

void tri_chain_pool_init(tri_chain_pool *pool, const tri_mem *mem);
/* As tri_pool_trim(), for blocks and segments. */
bool tri_chain_pool_trim(tri_chain_pool *pool, unsigned spare);
void tri_chain_pool_fini(tri_chain_pool *pool);

void tri_chain_init(tri_chain *chain);
/* Drops everything, releasing what was borrowed. */
void tri_chain_clear(tri_chain *chain, tri_chain_pool *pool);

/* `n` contiguous writable bytes at the end, n <= TRI_CHAIN_BLOCK - 64, or NULL with the chain as it was. They count
   once tri_chain_commit says how many were used; until then nothing else may be done with the chain. A reservation that
   comes to nothing is committed with 0, and costs an otherwise empty chain its block until the next rollback, consume
   or clear. */
TRI_NODISCARD static inline char *tri_chain_reserve(tri_chain *chain, tri_chain_pool *pool, size_t n);
/* The first `used` bytes of the last reservation are written. */
static inline void tri_chain_commit(tri_chain *chain, size_t used);
/* Copies any number of bytes. TRI_ENOMEM leaves the chain as it was. */
TRI_NODISCARD static inline int tri_chain_copy(tri_chain *chain, tri_chain_pool *pool, tri_span bytes);
/* Appends borrowed bytes. On TRI_ENOMEM nothing was taken and release is not called. No bytes at all are released at
   once. `release` may append to the chain, but not consume, roll back or clear. */
TRI_NODISCARD int tri_chain_borrow(tri_chain *chain, tri_chain_pool *pool, tri_loan loan);

/* Where the chain ends now. Bytes before it may be consumed without harm. */
static inline tri_chain_mark tri_chain_here(const tri_chain *chain)
{
    return (tri_chain_mark){ chain->gone + chain->bytes };
}
/* Drops what was appended since `mark`, releasing what was borrowed; nothing of it may have been consumed. */
void tri_chain_rollback(tri_chain *chain, tri_chain_pool *pool, tri_chain_mark mark);

/* Fills `iov` with at most `max` entries and at most `limit` bytes from the front; returns how many entries. */
int tri_chain_iov(const tri_chain *chain, struct iovec *iov, int max, size_t limit);
/* Forgets the first `n` bytes, which were written; n <= chain->bytes. */
void tri_chain_consume(tri_chain *chain, tri_chain_pool *pool, size_t n);
/* Moves the first `n` bytes, n <= from->bytes, to the end of another chain; few are copied, many change hands. What was
   borrowed is given back when both chains have done with it, and never from within this call. TRI_ENOMEM: fewer were
   moved, and none is lost. */
TRI_NODISCARD int tri_chain_move(tri_chain *to, tri_chain *from, tri_chain_pool *pool, size_t n);

/* private */

/* A run of bytes: in a block, behind this header, when `release` is NULL; else borrowed. */
struct tri_segment {
    tri_segment *next;
    char *p;     /* the first byte to write */
    size_t n;    /* how many */
    size_t room; /* bytes free behind them; 0 when borrowed */
    void (*release)(void *owner);
    void *owner;
};

char *tri_chain_reserve_block(tri_chain *chain, tri_chain_pool *pool);
int tri_chain_copy_across(tri_chain *chain, tri_chain_pool *pool, tri_span bytes);

static inline char *tri_chain_reserve(tri_chain *chain, tri_chain_pool *pool, size_t n)
{
    tri_segment *last = chain->last;
    if (last != NULL && n <= last->room && last->release == NULL)
        return last->p + last->n;
    return tri_chain_reserve_block(chain, pool);
}

static inline void tri_chain_commit(tri_chain *chain, size_t used)
{
    tri_segment *last = chain->last;
    last->n += used;
    last->room -= used;
    chain->bytes += used;
}

static inline int tri_chain_copy(tri_chain *chain, tri_chain_pool *pool, tri_span bytes)
{
    tri_segment *last = chain->last;
    if (last == NULL || bytes.n == 0 || bytes.n > last->room)
        return tri_chain_copy_across(chain, pool, bytes);
    memcpy(last->p + last->n, bytes.p, bytes.n);
    tri_chain_commit(chain, bytes.n);
    return TRI_OK;
}

#endif
