#include "base/buf.h"

#include <assert.h>
#include <string.h>

/* The first allocation; later ones double. */
enum { FIRST_CAPACITY = 512 };

/* Moves the unread bytes to the front. */
static void compact(tri_buf *buf)
{
    size_t held = tri_buf_len(buf);
    if (buf->start != 0 && held != 0)
        memmove(buf->p, buf->p + buf->start, held);
    buf->start = 0;
    buf->end = (uint32_t)held;
}

/* The capacity to have for `need` bytes: a doubling, so that appending is linear, but never beyond what may be held. */
static size_t grown_capacity(size_t capacity, size_t need, size_t max)
{
    size_t wanted = capacity == 0 ? FIRST_CAPACITY : capacity * 2;
    while (wanted < need)
        wanted *= 2;
    return wanted < max ? wanted : max;
}

/* Makes room for `n` bytes behind the last. */
static int make_room(tri_buf *buf, const tri_mem *mem, size_t n, size_t max)
{
    size_t held = tri_buf_len(buf);
    size_t need = held + n;
    /* Moving no more than was consumed keeps the cost of moving linear; at the maximum there is no choice. */
    if (need <= buf->cap && (held <= buf->start || buf->cap >= max)) {
        compact(buf);
        return TRI_OK;
    }
    size_t capacity = grown_capacity(buf->cap, need, max);
    char *p = tri_mem_resize(mem, buf->p, buf->cap, capacity);
    if (p == NULL)
        return TRI_ENOMEM;
    buf->p = p;
    buf->cap = (uint32_t)capacity;
    compact(buf);
    return TRI_OK;
}

int tri_buf_append(tri_buf *buf, const tri_mem *mem, tri_span bytes, size_t max)
{
    size_t held = tri_buf_len(buf);
    if (max > UINT32_MAX)
        max = UINT32_MAX;
    if (held > max || bytes.n > max - held)
        return TRI_ELIMIT;
    if (bytes.n == 0)
        return TRI_OK;
    if (bytes.n > buf->cap - buf->end) {
        int error = make_room(buf, mem, bytes.n, max);
        if (error != TRI_OK)
            return error;
    }
    memcpy(buf->p + buf->end, bytes.p, bytes.n);
    buf->end += (uint32_t)bytes.n;
    return TRI_OK;
}

void tri_buf_consume(tri_buf *buf, size_t n)
{
    assert(n <= tri_buf_len(buf));
    buf->start += (uint32_t)n;
    if (buf->start == buf->end)
        buf->start = buf->end = 0;
}

void tri_buf_release(tri_buf *buf, const tri_mem *mem)
{
    tri_mem_free(mem, buf->p, buf->cap);
    *buf = (tri_buf){ NULL, 0, 0, 0 };
}
