/* What the load generators share: files, the clock, the connection, the counts and latencies of a phase. */
#ifndef LOAD_BASE_H
#define LOAD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READ_MAX = 1 << 18, EVENTS_MAX = 256, SILENCE_MS = 30000 };

typedef struct blob {
    char *p;
    size_t n;
} blob;

/* The running phase: what was issued and seen. It ends after `limit` requests or at `deadline`. */
typedef struct load_phase {
    uint64_t limit, deadline;
    uint64_t issued, answered, bytes;
} load_phase;

extern load_phase phase;

/* Ends the program with one line that says what was wrong. */
void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...);
/* The monotonic clock in nanoseconds. */
uint64_t now_ns(void);
/* Reads a whole file into memory. */
blob read_file(const char *path);
/* Connects to the server on the loopback interface: a blocking socket that sends at once. */
int connect_to(unsigned port);
/* Has no call on the socket wait any more. */
void make_nonblocking(int fd);

/* Begins a phase; 0 requests or seconds are no limit. */
void phase_begin(uint64_t requests, double seconds);
/* How many requests may be issued now, at most `most`; 0 at the end of the phase. */
unsigned phase_allows(unsigned most, uint64_t now);
/* Counts an answer to what was sent at `started`. */
void phase_answer(uint64_t started);
/* Prints the phase's figures as one line of JSON. */
void phase_print(uint64_t start);

#endif
