/* A borrowed run of bytes. Whoever hands one out says how long it stays valid. */
#ifndef TRI_BASE_SPAN_H
#define TRI_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct tri_span {
    const char *p; /* not terminated; may be NULL when n is 0 */
    size_t n;
} tri_span;

/* A span over a string literal. */
#define TRI_SPAN(literal) ((tri_span){ (literal), sizeof(literal) - 1 })

/* Whether both hold the same bytes. */
static inline bool tri_span_eq(tri_span a, tri_span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

#endif
