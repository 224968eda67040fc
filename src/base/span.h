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

/* A letter of ASCII in lower case, anything else as it is; whatever the locale. */
static inline char tri_span_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* Whether `text` is `word`, which is in lower case, whatever its case. */
static inline bool tri_span_is_word(tri_span text, tri_span word)
{
    if (text.n != word.n)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (tri_span_lower(text.p[i]) != word.p[i])
            return false;
    return true;
}

/* `text` without the SP and HTAB around it. */
static inline tri_span tri_span_trim(tri_span text)
{
    while (text.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t')) {
        text.p++;
        text.n--;
    }
    while (text.n > 0 && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t'))
        text.n--;
    return text;
}

#endif
