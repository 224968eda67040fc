/* The watchdog: a thread that ends the process when a deadline has passed, whatever the other threads do. It needs
   nothing of theirs, no interpreter's lock either, and every signal is blocked in it. It starts with the first
   deadline; before, signals that nobody acts on are heeded by a timer and its signal, SIGRTMAX - 1. */
#ifndef TRI_NET_WATCHDOG_H
#define TRI_NET_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

/* Bytes of a message: what a pipe takes at once. */
enum { TRI_WATCHDOG_MESSAGE = 4096, TRI_WATCHDOG_SIGNALS = 4, TRI_WATCHDOG_PATIENCES = 3 };

typedef struct tri_watchdog tri_watchdog;

/* What happens at the end: the first TRI_WATCHDOG_MESSAGE bytes are written to descriptor 2, unless that would block,
   and the process exits with `code`; no exit handler runs. */
typedef struct tri_watchdog_end {
    const char *message;
    size_t n;
    int code;
} tri_watchdog_end;

/* TRI_ENOMEM, TRI_EMFILE, TRI_ESYS. The caller owns it; it is of this process only: after a fork the
   child has a copy that does nothing, and only frees it. */
TRI_NODISCARD int tri_watchdog_new(tri_watchdog **out, const tri_mem *mem);
/* Ends the thread, and puts back the signals' handlers. */
void tri_watchdog_free(tri_watchdog *dog);
/* Whether it is of this process. */
bool tri_watchdog_is_own(const tri_watchdog *dog);
/* Ends the process in so many milliseconds, unless this is called again; 0 for never. What signals have set is taken
   back. TRI_ESYS. */
TRI_NODISCARD int tri_watchdog_set(tri_watchdog *dog, uint64_t ms, const tri_watchdog_end *end);
/* What tri_watchdog_heed waits for, and how long the process may take after the first, second and third signal: a
   patience of 0 is none that ends. */
typedef struct tri_watchdog_signals {
    int numbers[TRI_WATCHDOG_SIGNALS];
    unsigned n;
    uint64_t patience_ms[TRI_WATCHDOG_PATIENCES];
    uint32_t parent;    /* where it is not 0 and no longer the parent's process id, a signal leaves ... */
    uint64_t orphan_ms; /* so much time, or less if that was said above: nobody else would end the process */
} tri_watchdog_signals;

/* From now on each of these signals sets the deadline by itself, before its handler as it is now is called. So a
   process that never comes to act on a signal ends, too. TRI_ESTATE: another watchdog heeds signals, or this one does;
   TRI_ESYS.
 */
TRI_NODISCARD int tri_watchdog_heed(tri_watchdog *dog, const tri_watchdog_signals *signals,
                                    const tri_watchdog_end *end);

#endif
