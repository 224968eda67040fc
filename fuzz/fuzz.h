/* What the fuzzers share: an input that is read a piece at a time, and a failure that stops the fuzzer. */
#ifndef TRI_FUZZ_H
#define TRI_FUZZ_H

#include "base/span.h"
#include "check.h"

enum { FUZZ_MAX = 1024 };

/* Stops the fuzzer with the place and condition that does not hold. */
#define HOLDS(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct fuzz_input {
    const uint8_t *p;
    size_t n;
} fuzz_input;

/* The next byte, 0 at the end. */
static inline unsigned fuzz_byte(fuzz_input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

/* The bytes up to the next NUL, which is dropped, or up to the end. */
static inline tri_span fuzz_text(fuzz_input *in)
{
    const uint8_t *nul = in->n == 0 ? NULL : memchr(in->p, 0, in->n);
    size_t n = nul == NULL ? in->n : (size_t)(nul - in->p);
    tri_span text = { (const char *)in->p, n };
    in->p += n + (nul != NULL);
    in->n -= n + (nul != NULL);
    return text;
}

/* How the bytes of a connection are cut. */
typedef enum fuzz_cut {
    FUZZ_WHOLE,  /* not at all */
    FUZZ_BYTES,  /* after every byte */
    FUZZ_RANDOM, /* after 1 to 16 bytes, as a seed says */
} fuzz_cut;

static inline size_t fuzz_take(fuzz_cut cut, unsigned *seed, size_t left)
{
    size_t take = cut == FUZZ_WHOLE ? left : 1;
    if (cut == FUZZ_RANDOM) {
        *seed = *seed * 1103515245U + 12345U;
        take = 1 + (*seed >> 16) % 16;
    }
    return take < left ? take : left;
}

/* Puts `parts` together in memory that the next call reuses; what is beyond FUZZ_MAX is left out. */
static inline tri_span fuzz_join(const tri_span *parts, size_t n)
{
    static char bytes[FUZZ_MAX];
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t take = parts[i].n < sizeof bytes - at ? parts[i].n : sizeof bytes - at;
        if (take > 0)
            memcpy(bytes + at, parts[i].p, take);
        at += take;
    }
    return (tri_span){ bytes, at };
}

#endif
