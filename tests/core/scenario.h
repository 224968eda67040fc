/* What the tests of faults let fail at each place: requests of every kind that are answered at once, and exchanges that
   wait for bodies, readers and deadlines. The clock is the scenario's own, so that no deadline takes its time. */
#ifndef TRI_TESTS_SCENARIO_H
#define TRI_TESTS_SCENARIO_H

#include "serving.h"

#include <sys/syscall.h>
#include <sys/timerfd.h>

enum { SCENARIO_CLIENTS = 6, SCENARIO_TURNS = 1000 };

typedef struct scenario {
    void (*app)(serving *self, tri_exchange *exchange);
    int send_buffer;    /* as serving_send_buffer */
    uint32_t send_high; /* as in the limits */
    /* Opens the clients, SCENARIO_CLIENTS of them, and has them send. */
    void (*begin)(serving *s, client *c);
    /* Stops the server; the clients go. */
    void (*end)(serving *s, client *c);
} scenario;

static char scenario_large[200000];
static unsigned scenario_lent, scenario_released;

static inline void scenario_release(void *owner)
{
    (void)owner;
    scenario_released++;
}

/* --- the clock --- */

static uint64_t scenario_skipped_ms;

/* These go before the C library's: time passes when the scenario says so. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);
    now->tv_sec += clock == CLOCK_MONOTONIC ? (time_t)(scenario_skipped_ms / 1000) : 0;
    return (int)result;
}

static inline int scenario_timer_set(int fd, int flags, const struct itimerspec *when)
{
    struct itimerspec real = *when;
    real.it_value.tv_sec -= (time_t)(scenario_skipped_ms / 1000);
    if (real.it_value.tv_sec < 0)
        real.it_value = (struct timespec){ 0, 1 };
    return (int)syscall(SYS_timerfd_settime, fd, flags, &real, NULL);
}

/* Has so many seconds pass. */
static inline void scenario_skip(unsigned seconds)
{
    scenario_skipped_ms += seconds * (uint64_t)1000;
}

/* Does something else with every request, as long as it goes well. */
static inline void at_once_app(serving *self, tri_exchange *exchange)
{
    tri_received got;
    tri_response response = { .status = 200 };
    tri_loan loan = { { scenario_large, sizeof scenario_large }, scenario_release, NULL };
    while (tri_exchange_receive(exchange, &got) == 0 && !got.disconnect)
        tri_exchange_take(exchange);
    tri_exchange_want(exchange, TRI_WANT_READ);
    if (self->exchanges % 3 == 0) {
        (void)!answer(exchange, "hello");
    } else if (self->exchanges != 7 && tri_exchange_respond(exchange, &response) == 0) {
        bool once = self->exchanges % 2 == 0;
        if (tri_exchange_write(exchange, &loan, once) == 0) {
            scenario_lent++;
            scenario_lent += !once && tri_exchange_write(exchange, &loan, true) == 0;
        }
    }
    let_go(exchange);
}

/* A few turns with what the clients have sent; what comes back is only taken in. */
static inline void scenario_send(serving *s, client *c, const char *text)
{
    (void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    for (int i = 0; i < 8; i++) {
        serving_turn(s, 0);
        while (client_read(c))
            continue;
        client_forget(c);
    }
}

/* Opens a server for it. */
static inline int scenario_open(serving *s, const scenario *what)
{
    tri_limits limits;
    tri_limits_default(&limits);
    limits.send_high = what->send_high;
    limits.send_low = what->send_high / 4;
    serving_send_buffer = what->send_buffer;
    scenario_lent = scenario_released = 0;
    int error = serving_open(s, &limits, what->app);
    serving_send_buffer = 0;
    return error;
}

/* --- answers at once --- */

static inline void at_once_begin(serving *s, client *c)
{
    static char head[6000];
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nLong: %05000d\r\n\r\n", 0);
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_open(&c[i], s);
    scenario_send(s, &c[0], "GET / HTTP/1.1\r\nHost: a\r\nPie");
    scenario_send(s, &c[1], GET("/1") GET("/2") GET("/3") "GET /4 HT");
    scenario_send(s, &c[0], "ces: a\r\n\r\n");
    scenario_send(s, &c[1], "TP/1.1\r\nHost: a\r\n\r\n");
    scenario_send(s, &c[2], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    scenario_send(s, &c[2], "0123456789");
    scenario_send(s, &c[3], "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n");
    scenario_send(s, &c[3], "0\r\n\r\n");
    scenario_send(s, &c[4], head);
    scenario_send(s, &c[5], "nonsense\r\n\r\n");
    client_reset(&c[5]);
    for (int i = 0; i < 3; i++)
        scenario_send(s, &c[i], GET("/"));
}

static inline void at_once_end(serving *s, client *c)
{
    tri_server_stop(s->server);
    scenario_send(s, &c[4], GET("/"));
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_close(&c[i]);
    serving_turn(s, 0);
}

/* --- exchanges that wait --- */

enum { WAITING_LOANS = 4, WAITING_LOAN = 60000 };

/* How far the application of an exchange is: it reads a body of a known length to its end, then it writes so often. */
static char waiting_steps[1 + WAITING_LOANS];

/* Reads what is there; returns whether the answer may begin. */
static inline bool waiting_receive(tri_exchange *exchange)
{
    tri_received got;
    bool begins = !(tri_exchange_head(exchange)->flags & TRI_HEAD_LENGTH);
    while (tri_exchange_receive(exchange, &got) == 0 && !got.disconnect) {
        begins = begins || !got.more;
        tri_exchange_take(exchange);
    }
    if (!got.disconnect)
        tri_exchange_want(exchange, TRI_WANT_READ);
    return begins;
}

/* Goes on with a held exchange as far as that is possible; returns whether it is done. */
static inline bool waiting_step(tri_exchange *exchange)
{
    tri_response response = { .status = 200 };
    tri_loan loan = { { scenario_large, WAITING_LOAN }, scenario_release, NULL };
    char *step = tri_exchange_user(exchange);
    step += waiting_receive(exchange) && step == waiting_steps;
    tri_exchange_set_user(exchange, step);
    if (step == waiting_steps)
        return tri_exchange_lost(exchange);
    if (!tri_exchange_started(exchange) && tri_exchange_respond(exchange, &response) != 0)
        return true;
    while (tri_exchange_writable(exchange)) {
        bool last = step == waiting_steps + WAITING_LOANS;
        int error = tri_exchange_write(exchange, &loan, last);
        scenario_lent += error == 0;
        if (error != 0 || last)
            return true;
        tri_exchange_set_user(exchange, ++step);
    }
    tri_exchange_want(exchange, TRI_WANT_WRITE);
    return tri_exchange_lost(exchange);
}

static inline void waiting_app(serving *self, tri_exchange *exchange)
{
    tri_exchange_set_user(exchange, waiting_steps);
    app_hold(self, exchange);
}

/* A few turns, in which the applications go on. */
static inline void waiting_turns(serving *s, unsigned n)
{
    while (n-- > 0) {
        serving_turn(s, 0);
        for (unsigned i = 0; i < s->n_held; i++) {
            tri_exchange *exchange = s->held[i];
            if (!waiting_step(exchange))
                continue;
            memmove(s->held + i, s->held + i + 1, (--s->n_held - i) * sizeof *s->held);
            i--;
            let_go(exchange);
        }
    }
}

/* Sends, as far as there is room. */
static inline void waiting_send(serving *s, client *c, const char *text)
{
    (void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    waiting_turns(s, 3);
}

static inline void waiting_read(serving *s, client *c)
{
    for (unsigned i = 0; i < 16; i++) {
        while (client_read(c))
            client_forget(c);
        waiting_turns(s, 2);
    }
}

static inline void waiting_begin(serving *s, client *c)
{
    static char part[16001];
    memset(part, 'x', sizeof part - 1);
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_open_small(&c[i], s, i == 0 ? 4096 : 0);
    waiting_send(s, &c[0], GET("/never-read"));
    waiting_send(s, &c[1], GET("/read-late") GET("/behind"));
    waiting_send(s, &c[2], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    waiting_send(s, &c[3], "GET / HTTP/1.1\r\nHo");
    waiting_send(s, &c[4], "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 6; i++) {
        waiting_send(s, &c[4], "3e80\r\n");
        waiting_send(s, &c[4], part);
        waiting_send(s, &c[4], "\r\n");
    }
    shutdown(c[4].fd, SHUT_WR);
    waiting_read(s, &c[4]);
    scenario_skip(25);
    waiting_send(s, &c[2], "dribbled");
    waiting_read(s, &c[1]);
    scenario_skip(15); /* time is up for all but one */
    waiting_read(s, &c[1]);
    client_reset(&c[4]);
    waiting_turns(s, 4);
}

static inline void waiting_end(serving *s, client *c)
{
    client_close(&c[5]);
    client_open(&c[5], s);
    waiting_send(s, &c[5], "POST /last HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123");
    client_close(&c[2]);
    client_open(&c[2], s);
    waiting_send(s, &c[2], GET("/slowly"));
    tri_server_stop(s->server);
    waiting_send(s, &c[5], "45");
    waiting_read(s, &c[5]);
    waiting_read(s, &c[2]);
    scenario_skip(5);
    waiting_turns(s, 4);
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_close(&c[i]);
    waiting_turns(s, 4);
}

static const scenario scenarios[] = {
    { at_once_app, 0, 262144, at_once_begin, at_once_end },
    { waiting_app, 8192, 65536, waiting_begin, waiting_end },
};

enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

#endif
