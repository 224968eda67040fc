/* What decoders cost as their input grows: growth.py runs each shape of input at four sizes under callgrind. */
#ifndef TRI_TESTS_GROWTH_H
#define TRI_TESTS_GROWTH_H

#include <stdarg.h>

#include "check.h"

enum { GROWTH_MOST = 1 << 21, GROWTH_SIZES = 4 };

/* An input that is being made. */
typedef struct growth_bytes {
    size_t n;
    char p[GROWTH_MOST];
} growth_bytes;

/* One way in which an input can grow. */
typedef struct growth_shape {
    const char *name;
    size_t (*make)(growth_bytes *to, size_t units); /* returns how many things are to be seen in it */
    size_t step;                                    /* bytes of a read; 0: all at once */
    size_t first;                                   /* units of the smallest input; the others have 2, 4 and 8 times */
    int kind;                                       /* the program's own */
} growth_shape;

/* Reads the input as a new connection's and returns how many things were seen. */
typedef size_t growth_decode(const growth_shape *shape, char *bytes, size_t n);

static inline void growth_put(growth_bytes *to, const void *bytes, size_t n)
{
    if (n > sizeof to->p - to->n)
        abort();
    if (n > 0)
        memcpy(to->p + to->n, bytes, n);
    to->n += n;
}

__attribute__((format(printf, 2, 3))) static inline void growth_text(growth_bytes *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(to->p + to->n, sizeof to->p - to->n, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof to->p - to->n)
        abort();
    to->n += (size_t)n;
}

/* How many bytes the read at `at` gives. */
static inline size_t growth_piece(const growth_shape *shape, size_t at, size_t n)
{
    return shape->step == 0 || shape->step > n - at ? n - at : shape->step;
}

/* What is counted, by this name: the instructions within. */
__attribute__((noipa)) static size_t growth_measured(growth_decode *decode, const growth_shape *shape,
                                                     growth_bytes *bytes)
{
    return decode(shape, bytes->p, bytes->n);
}

/* Decodes every shape at every size, and prints a line for each: its units and its name. Before that, once uncounted,
   so that whatever is made at the first time has been made. */
static inline void growth_run(const growth_shape *shapes, size_t n, growth_decode *decode)
{
    static growth_bytes bytes;
    for (size_t i = 0; i < n; i++) {
        for (size_t round = 0; round <= GROWTH_SIZES; round++) {
            size_t units = shapes[i].first << (round == 0 ? GROWTH_SIZES - 1 : round - 1);
            bytes.n = 0;
            size_t wanted = shapes[i].make(&bytes, units);
            size_t seen =
                round == 0 ? decode(&shapes[i], bytes.p, bytes.n) : growth_measured(decode, &shapes[i], &bytes);
            CHECK(seen == wanted);
            if (seen != wanted)
                fprintf(stderr, "%s: %zu of %zu\n", shapes[i].name, seen, wanted);
            if (round > 0)
                printf("%zu %s\n", units, shapes[i].name);
        }
    }
}

#endif
