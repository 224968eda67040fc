/* Random numbers for model-based tests: the same in every run, so that a failure comes back. */
#ifndef TRI_TESTS_RANDOM_H
#define TRI_TESTS_RANDOM_H

#include <stdint.h>

/* xorshift64*; any seed but 0. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

/* A number from 0 to `bound` - 1. */
static inline uint64_t random_below(uint64_t *state, uint64_t bound)
{
    return (random_next(state) >> 11) % bound;
}

#endif
