#include "server/access_sink.h"

#include <errno.h>

#include "net/reactor.h"
#include "net/sys.h"

void tri_access_sink_init(tri_access_sink *sink, const tri_mem *mem, int fd, uint32_t piece)
{
    int type;
    *sink = (tri_access_sink){ .mem = mem, .fd = fd, .piece = piece };
    sink->socket = tri_sys_option_get(fd, SOL_SOCKET, SO_TYPE, &type) == 0;
}

void tri_access_sink_fini(tri_access_sink *sink)
{
    tri_buf_release(&sink->held, sink->mem);
}

/* Gives up what waits: its lines are lost. */
static void drop(tri_access_sink *sink)
{
    const char *p = tri_buf_data(&sink->held);
    size_t n = tri_buf_len(&sink->held);
    for (size_t i = 0; i < n; i++)
        sink->lost += p[i] == '\n';
    if (n > 0)
        sink->why = sink->error;
    tri_buf_consume(&sink->held, n);
}

/* How much of what waits is written at once: whole lines, where several writers share a pipe. */
static size_t piece_of(const tri_access_sink *sink)
{
    size_t n = tri_buf_len(&sink->held);
    if (sink->piece == 0 || n <= sink->piece)
        return n;
    const char *end = memrchr(tri_buf_data(&sink->held), '\n', sink->piece);
    return end == NULL ? sink->piece : (size_t)(end - tri_buf_data(&sink->held)) + 1;
}

void tri_access_sink_write(tri_access_sink *sink)
{
    while (tri_access_sink_waits(sink)) {
        const char *p = tri_buf_data(&sink->held);
        size_t piece = piece_of(sink);
        ssize_t n = sink->socket ? tri_sys_send_now(sink->fd, p, piece) : tri_sys_write(sink->fd, p, piece);
        if (n <= 0) {
            sink->error = n == 0 ? EIO : errno;
            if (sink->error == EPIPE)
                drop(sink);
            return;
        }
        sink->error = 0;
        tri_buf_consume(&sink->held, (size_t)n);
    }
    sink->stuck = false;
    if (sink->held.cap > 2 * TRI_ACCESS_SINK_FULL)
        tri_buf_release(&sink->held, sink->mem);
}

/* Writes until at most `most` bytes wait, or `ms` have passed. */
static void write_until(tri_access_sink *sink, size_t most, int ms)
{
    uint64_t until = tri_reactor_now() + (uint64_t)ms;
    tri_access_sink_write(sink);
    while (tri_buf_len(&sink->held) > most && sink->error == EAGAIN) {
        uint64_t now = tri_reactor_now();
        if (now >= until || tri_sys_wait_writable(sink->fd, (int)(until - now)) <= 0)
            break;
        tri_access_sink_write(sink);
    }
}

/* Whether a full sink has room again: its reader has taken half of what waits, in the time that it is given. */
static bool make_room(tri_access_sink *sink)
{
    if (sink->stuck || sink->error != EAGAIN)
        return false;
    write_until(sink, TRI_ACCESS_SINK_HELD / 2, TRI_ACCESS_SINK_WAIT);
    sink->stuck = tri_buf_len(&sink->held) > TRI_ACCESS_SINK_HELD / 2;
    return true;
}

void tri_access_sink_add(tri_access_sink *sink, tri_span line)
{
    int error = tri_buf_append(&sink->held, sink->mem, line, TRI_ACCESS_SINK_HELD);
    if (error != 0 && error != TRI_ENOMEM && make_room(sink))
        error = tri_buf_append(&sink->held, sink->mem, line, TRI_ACCESS_SINK_HELD);
    if (error != 0) {
        sink->lost++;
        sink->why = error == TRI_ENOMEM || sink->error == 0 ? ENOMEM : sink->error;
        return;
    }
    if (tri_buf_len(&sink->held) >= TRI_ACCESS_SINK_FULL && sink->error == 0)
        tri_access_sink_write(sink);
}

void tri_access_sink_finish(tri_access_sink *sink, int ms)
{
    write_until(sink, 0, ms);
    drop(sink);
}

uint64_t tri_access_sink_lost(tri_access_sink *sink, int *why)
{
    uint64_t lost = sink->lost;
    *why = sink->why;
    sink->lost = 0;
    return lost;
}
