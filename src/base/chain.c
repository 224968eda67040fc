#include "base/chain.h"

#include <assert.h>

/* Idle objects that a pool keeps: 1 MiB of blocks, and a few pages of borrowed segments. */
enum { KEEP_BLOCKS = 256, KEEP_SEGMENTS = 512 };
/* Bytes that one block carries. */
enum { BLOCK_ROOM = TRI_CHAIN_BLOCK - sizeof(tri_segment) };
/* Fewer bytes than that are copied from chain to chain. */
enum { MOVE_FROM = 512 };

_Static_assert(sizeof(tri_segment) <= 64, "a reservation of TRI_CHAIN_BLOCK - 64 fits a block");

void tri_chain_pool_init(tri_chain_pool *pool, const tri_mem *mem)
{
    tri_pool_init(&pool->blocks, mem, TRI_CHAIN_BLOCK, KEEP_BLOCKS);
    tri_pool_init(&pool->segments, mem, sizeof(tri_segment), KEEP_SEGMENTS);
}

bool tri_chain_pool_trim(tri_chain_pool *pool, unsigned spare)
{
    bool blocks = tri_pool_trim(&pool->blocks, spare);
    return tri_pool_trim(&pool->segments, spare) || blocks;
}

void tri_chain_pool_fini(tri_chain_pool *pool)
{
    tri_pool_fini(&pool->blocks);
    tri_pool_fini(&pool->segments);
}

void tri_chain_init(tri_chain *chain)
{
    *chain = (tri_chain){ NULL, NULL, 0, 0 };
}

/* Gives an unlinked segment back, and what it borrowed. */
static void segment_free(tri_chain_pool *pool, tri_segment *segment)
{
    if (segment->release == NULL) {
        tri_pool_put(&pool->blocks, segment);
        return;
    }
    void (*release)(void *owner) = segment->release;
    void *owner = segment->owner;
    tri_pool_put(&pool->segments, segment);
    release(owner);
}

/* Gives back a list of unlinked segments. */
static void segments_free(tri_chain_pool *pool, tri_segment *segment)
{
    while (segment != NULL) {
        tri_segment *next = segment->next;
        segment_free(pool, segment);
        segment = next;
    }
}

/* Links `segment` as the last. */
static void link_last(tri_chain *chain, tri_segment *segment)
{
    segment->next = NULL;
    if (chain->last == NULL)
        chain->first = segment;
    else
        chain->last->next = segment;
    chain->last = segment;
}

void tri_chain_clear(tri_chain *chain, tri_chain_pool *pool)
{
    tri_segment *first = chain->first;
    *chain = (tri_chain){ NULL, NULL, 0, chain->gone + chain->bytes };
    segments_free(pool, first);
}

/* The slow path of tri_chain_reserve: a new block at the end. Returns its first byte, or NULL. */
char *tri_chain_reserve_block(tri_chain *chain, tri_chain_pool *pool)
{
    tri_segment *block = tri_pool_get(&pool->blocks);
    if (block == NULL)
        return NULL;
    block->p = (char *)(block + 1);
    block->n = 0;
    block->room = BLOCK_ROOM;
    block->release = NULL;
    block->owner = NULL;
    link_last(chain, block);
    return block->p;
}

/* The slow path of tri_chain_copy: what the last block cannot hold goes into new ones. */
int tri_chain_copy_across(tri_chain *chain, tri_chain_pool *pool, tri_span bytes)
{
    tri_chain_mark mark = tri_chain_here(chain);
    while (bytes.n > 0) {
        size_t room = chain->last == NULL ? 0 : chain->last->room;
        if (room == 0) {
            if (tri_chain_reserve_block(chain, pool) == NULL) {
                tri_chain_rollback(chain, pool, mark);
                return TRI_ENOMEM;
            }
            room = BLOCK_ROOM;
        }
        size_t n = bytes.n < room ? bytes.n : room;
        memcpy(chain->last->p + chain->last->n, bytes.p, n);
        tri_chain_commit(chain, n);
        bytes.p += n;
        bytes.n -= n;
    }
    return TRI_OK;
}

int tri_chain_borrow(tri_chain *chain, tri_chain_pool *pool, tri_loan loan)
{
    assert(loan.release != NULL);
    if (loan.bytes.n == 0) {
        loan.release(loan.owner);
        return TRI_OK;
    }
    tri_segment *segment = tri_pool_get(&pool->segments);
    if (segment == NULL)
        return TRI_ENOMEM;
    segment->p = (char *)(uintptr_t)loan.bytes.p; /* only ever read: borrowed segments have no room */
    segment->n = loan.bytes.n;
    segment->room = 0;
    segment->release = loan.release;
    segment->owner = loan.owner;
    link_last(chain, segment);
    chain->bytes += loan.bytes.n;
    return TRI_OK;
}

/* Ends the segment after its first `n` bytes. */
static void segment_cut(tri_segment *segment, size_t n)
{
    if (segment->release == NULL)
        segment->room += segment->n - n;
    segment->n = n;
}

void tri_chain_rollback(tri_chain *chain, tri_chain_pool *pool, tri_chain_mark mark)
{
    assert(mark.at >= chain->gone && mark.at <= chain->gone + chain->bytes);
    size_t keep = (size_t)(mark.at - chain->gone);
    tri_segment *last = NULL;
    tri_segment *dropped = chain->first;
    for (size_t left = keep; left > 0 && dropped != NULL; dropped = last->next) {
        last = dropped;
        if (last->n > left)
            segment_cut(last, left);
        left -= last->n;
    }
    if (last == NULL)
        chain->first = NULL;
    else
        last->next = NULL;
    chain->last = last;
    chain->bytes = keep;
    segments_free(pool, dropped);
}

int tri_chain_iov(const tri_chain *chain, struct iovec *iov, int max, size_t limit)
{
    int count = 0;
    for (const tri_segment *segment = chain->first; segment != NULL; segment = segment->next) {
        if (count == max || limit == 0)
            break;
        if (segment->n == 0)
            continue;
        size_t n = segment->n < limit ? segment->n : limit;
        iov[count++] = (struct iovec){ segment->p, n };
        limit -= n;
    }
    return count;
}

/* What is written is unlinked first and given back last: a release may run code that comes back to this chain. */
void tri_chain_consume(tri_chain *chain, tri_chain_pool *pool, size_t n)
{
    assert(n <= chain->bytes);
    chain->bytes -= n;
    chain->gone += n;
    tri_segment *written = chain->first;
    tri_segment *last = NULL;
    tri_segment *first = chain->first;
    for (; first != NULL; last = first, first = first->next) {
        size_t taken = n < first->n ? n : first->n;
        first->p += taken;
        first->n -= taken;
        n -= taken;
        if (first->n > 0)
            break;
    }
    if (last == NULL)
        return;
    last->next = NULL;
    chain->first = first;
    if (first == NULL)
        chain->last = NULL;
    segments_free(pool, written);
}

/* A loan that several segments have a part of. */
typedef struct share {
    const tri_mem *mem;
    unsigned parts;
    void (*release)(void *owner);
    void *owner;
} share;

/* One of the segments has done with its part. */
static void share_release(void *owner)
{
    share *self = owner;
    if (--self->parts > 0)
        return;
    void (*release)(void *) = self->release;
    void *whose = self->owner;
    tri_mem_free(self->mem, self, sizeof *self);
    release(whose);
}

/* Makes the loan of a segment one that can be had by others, too. */
static int make_shared(tri_segment *segment, const tri_mem *mem)
{
    if (segment->release == share_release)
        return TRI_OK;
    share *self = tri_mem_alloc(mem, sizeof *self);
    if (self == NULL)
        return TRI_ENOMEM;
    *self = (share){ .mem = mem, .parts = 1, .release = segment->release, .owner = segment->owner };
    segment->release = share_release;
    segment->owner = self;
    return TRI_OK;
}

/* Appends the first `n` bytes of a segment of another chain, which keeps the segment. */
static int append_part(tri_chain *to, tri_chain_pool *pool, tri_segment *segment, size_t n)
{
    tri_span bytes = { segment->p, n };
    if (segment->release == NULL || n < MOVE_FROM)
        return tri_chain_copy(to, pool, bytes);
    if (make_shared(segment, pool->segments.mem) != TRI_OK)
        return TRI_ENOMEM;
    int error = tri_chain_borrow(to, pool, (tri_loan){ bytes, share_release, segment->owner });
    if (error == TRI_OK)
        ((share *)segment->owner)->parts++;
    return error;
}

/* Takes `n` bytes off the first segment, which keeps others. */
static void cut_front(tri_chain *chain, size_t n)
{
    chain->first->p += n;
    chain->first->n -= n;
    chain->bytes -= n;
    chain->gone += n;
}

/* Takes the first segment off. */
static tri_segment *unlink_first(tri_chain *chain)
{
    tri_segment *segment = chain->first;
    chain->first = segment->next;
    if (chain->first == NULL)
        chain->last = NULL;
    chain->bytes -= segment->n;
    chain->gone += segment->n;
    return segment;
}

int tri_chain_move(tri_chain *to, tri_chain *from, tri_chain_pool *pool, size_t n)
{
    assert(n <= from->bytes);
    while (n > 0) {
        tri_segment *segment = from->first;
        bool whole = segment->n <= n;
        size_t part = whole ? segment->n : n;
        bool few = segment->release == NULL && part < MOVE_FROM;
        if ((!whole || few) && append_part(to, pool, segment, part) != TRI_OK)
            return TRI_ENOMEM;
        n -= part;
        if (!whole) {
            cut_front(from, part);
            continue;
        }
        segment = unlink_first(from);
        if (few) {
            tri_pool_put(&pool->blocks, segment);
            continue;
        }
        to->bytes += segment->n;
        link_last(to, segment);
    }
    return TRI_OK;
}
