/* What the fuzzers of HTTP share: a connection that is fed in pieces, whose events and answers must be the same. */
#ifndef TRI_FUZZ_HTTP_H
#define TRI_FUZZ_HTTP_H

#include "fuzz.h"
#include "http1_record.h"

/* Feeds `bytes` to a new connection, cut so; the peer ends its side behind them. What came of it is in `self`. */
static inline void fuzz_run(record *self, const tri_limits *limits, tri_span bytes, fuzz_cut cut, unsigned seed)
{
    record_init(self);
    self->limits = *limits;
    HOLDS(record_open(self) == 0);
    for (size_t at = 0; at < bytes.n;) {
        size_t take = fuzz_take(cut, &seed, bytes.n - at);
        if (record_feed(self, bytes.p + at, take) > 0)
            break;
        at += take;
    }
    record_eof(self);
    HOLDS(self->error == 0);
    record_close(self);
    HOLDS(check_failed == 0);
}

/* Whether both connections saw and sent the same. */
static inline bool fuzz_same(const record *a, const record *b)
{
    return a->log_n == b->log_n && memcmp(a->log, b->log, a->log_n) == 0 && a->out_n == b->out_n
           && memcmp(a->out, b->out, a->out_n) == 0;
}

/* Runs the bytes in one piece and cut in two other ways: events and answers must be the same. The first run's record.
 */
static inline const record *fuzz_all_cuts(const tri_limits *limits, tri_span bytes, unsigned seed)
{
    static record whole, cut;
    fuzz_run(&whole, limits, bytes, FUZZ_WHOLE, 0);
    fuzz_run(&cut, limits, bytes, FUZZ_BYTES, 0);
    HOLDS(fuzz_same(&whole, &cut));
    fuzz_run(&cut, limits, bytes, FUZZ_RANDOM, seed);
    HOLDS(fuzz_same(&whole, &cut));
    return &whole;
}

#endif
