/* Lines that wait to be written to the access log's descriptor, and leave together. What the descriptor does not take
   waits within a maximum; beyond it whole lines are lost, and counted. */
#ifndef TRI_SERVER_ACCESS_SINK_H
#define TRI_SERVER_ACCESS_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
    TRI_ACCESS_SINK_FULL = 32768,   /* bytes that are written without waiting for the end of the turn */
    TRI_ACCESS_SINK_HELD = 1 << 20, /* bytes that wait while the descriptor takes none */
    TRI_ACCESS_SINK_WAIT = 100,     /* milliseconds that a full sink waits for a reader that is busy, once */
};

typedef struct tri_access_sink {
    const tri_mem *mem;
    int fd; /* borrowed */
    bool socket;
    bool stuck;     /* the reader was waited for in vain, and has not taken much since */
    uint32_t piece; /* most bytes of a write, 0 for any number: what a pipe takes undivided from several writers */
    tri_buf held;
    uint64_t lost; /* lines, since tri_access_sink_lost */
    int why;       /* errno of what lost them */
    int error;     /* errno of the last write, 0 when it succeeded */
} tri_access_sink;

void tri_access_sink_init(tri_access_sink *sink, const tri_mem *mem, int fd, uint32_t piece);
/* Gives the memory back. */
void tri_access_sink_fini(tri_access_sink *sink);
/* Adds a line. Writes when much waits. Where there is no room the reader is given a little time, as it may only have
   had no turn on a busy machine; where it has not used it, lines are lost until it takes some again. */
void tri_access_sink_add(tri_access_sink *sink, tri_span line);
/* Writes what waits, as far as the descriptor takes it. A broken pipe loses all of it. */
void tri_access_sink_write(tri_access_sink *sink);
/* The same, waiting up to `ms` for the descriptor; what is left is lost. */
void tri_access_sink_finish(tri_access_sink *sink, int ms);
/* How many lines were lost since the last call, and in `*why` the errno of what failed. */
uint64_t tri_access_sink_lost(tri_access_sink *sink, int *why);

/* Whether something waits. */
static inline bool tri_access_sink_waits(const tri_access_sink *sink)
{
    return tri_buf_len(&sink->held) > 0;
}

#endif
