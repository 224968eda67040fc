/* A growing byte buffer with a maximum, empty ones hold no memory. */
#ifndef TRI_BASE_BUF_H
#define TRI_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

typedef struct tri_buf {
    char *p; /* the first unread byte is p[start] */
    uint32_t start;
    uint32_t end; /* one behind the last byte */
    uint32_t cap;
} tri_buf;

/* Bytes held and not yet consumed. */
static inline size_t tri_buf_len(const tri_buf *buf)
{
    return buf->end - buf->start;
}

/* The first unread byte; NULL while nothing was ever stored. */
static inline char *tri_buf_data(const tri_buf *buf)
{
    return buf->p == NULL ? NULL : buf->p + buf->start;
}

/* Copies `n` bytes behind the last. TRI_ELIMIT when it would then hold more than `max`, TRI_ENOMEM; the buffer is as
   before. */
TRI_NODISCARD int tri_buf_append(tri_buf *buf, const tri_mem *mem, tri_span bytes, size_t max);
/* Forgets the first `n` bytes, n <= tri_buf_len. Memory stays until tri_buf_release. */
void tri_buf_consume(tri_buf *buf, size_t n);
/* Gives all memory back; the buffer is empty and usable. A zeroed tri_buf is a valid empty one. */
void tri_buf_release(tri_buf *buf, const tri_mem *mem);

#endif
