/* What the fuzzers of WebSocket frames share: a socket that is fed in pieces. */
#ifndef TRI_FUZZ_WS_H
#define TRI_FUZZ_WS_H

#include "fuzz.h"
#include "ws_record.h"

/* How a socket is to be. */
typedef struct fuzz_socket {
    tri_limits limits;
    tri_ws_deflate_options options;
    const char *offers; /* of extensions; NULL for none */
} fuzz_socket;

/* The defaults. */
static inline void fuzz_socket_init(fuzz_socket *self)
{
    static ws_record defaults;
    ws_record_init(&defaults);
    *self = (fuzz_socket){ .limits = defaults.limits, .options = defaults.options };
}

static inline void fuzz_open(ws_record *self, const fuzz_socket *how)
{
    ws_record_init(self);
    self->limits = how->limits;
    self->options = how->options;
    ws_record_open(self);
    if (how->offers != NULL)
        HOLDS(*ws_record_agree(self, how->offers) != '\0');
}

/* Feeds `bytes` to a new socket, cut so. What came of it is in `self`. */
static inline void fuzz_run(ws_record *self, const fuzz_socket *how, tri_span bytes, fuzz_cut cut, unsigned seed)
{
    fuzz_open(self, how);
    for (size_t at = 0; at < bytes.n;) {
        size_t take = fuzz_take(cut, &seed, bytes.n - at);
        ws_record_feed(self, bytes.p + at, take);
        at += take;
    }
    HOLDS(self->error == 0);
    ws_record_close(self);
    HOLDS(check_failed == 0);
}

/* Whether both saw the same. */
static inline bool fuzz_same(const ws_record *a, const ws_record *b)
{
    return a->log_n == b->log_n && memcmp(a->log, b->log, a->log_n) == 0;
}

#endif
