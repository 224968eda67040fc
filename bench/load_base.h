/* What the load generators share: options, files, the clock, connections, the counts and latencies of a phase. */
#ifndef LOAD_BASE_H
#define LOAD_BASE_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READ_MAX = 1 << 18, EVENTS_MAX = 256, SILENCE_MS = 30000 };

typedef struct blob {
    char *p;
    size_t n;
} blob;

/* What every generator is told by its command line. */
typedef struct load_task {
    unsigned port, connections;
    uint64_t requests;
    double seconds, warm;
    bool gate;
    blob request;
} load_task;

extern load_task task;

/* The options of that, of which a generator's own table has more. */
#define TASK_OPTIONS                                                                                   \
    { "port", required_argument, NULL, 'p' }, { "request", required_argument, NULL, 'r' },             \
        { "connections", required_argument, NULL, 'c' }, { "requests", required_argument, NULL, 'n' }, \
        { "seconds", required_argument, NULL, 't' }, { "warm", required_argument, NULL, 'w' },         \
    {                                                                                                  \
        "gate", no_argument, NULL, 'G'                                                                 \
    }

/* The running phase: what was issued and seen. It ends after `limit` requests or at `deadline`. */
typedef struct load_phase {
    uint64_t limit, deadline;
    uint64_t issued, answered, bytes;
} load_phase;

extern load_phase phase;

extern int epoll_fd;

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
/* Registers a descriptor for reading, and for writing while that is `blocked`. */
void watch(int operation, int fd, void *owner, bool blocked);

/* Reads the command line: the options of `table`, of which `set` stores those that are not of every generator. What
   cannot be run ends the program. */
void task_read(int argc, char **argv, const struct option *table, void (*set)(int option, const char *value));
/* `size` zeroed bytes for each connection, and the descriptor to wait on. */
void *task_open(size_t size);
/* Warms up, runs the phase and prints its figures; with --gate, `wait` is called before and after. */
void task_run(void (*run)(uint64_t requests, double seconds), void (*wait)(void));
/* Waits for a line of the caller; the program ends with the input. */
void gate_wait(void);

/* Begins a phase; 0 requests or seconds are no limit. */
void phase_begin(uint64_t requests, double seconds);
/* How many requests may be issued now, at most `most`; 0 at the end of the phase. */
unsigned phase_allows(unsigned most, uint64_t now);
/* Counts an answer to what was sent at `started`. */
void phase_answer(uint64_t started);
/* Prints the phase's figures as one line of JSON. */
void phase_print(uint64_t start);

#endif
