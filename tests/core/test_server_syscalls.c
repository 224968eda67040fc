#define _GNU_SOURCE 1
/* Every system call of a server at work fails in turn, with each errno that the kernel may give, or does less than
   asked: the server lives, loses nothing that it holds, does not spin, and serves the next client. */
#include "faults.h"
#include "scenario.h"

/* When a fault may come: while the scenario begins, or while it ends. */
enum phase { BEGIN, END, PHASES };

static client clients[SCENARIO_CLIENTS];
static client probe;

/* Whether a descriptor is a client's, which nothing happens to. */
static bool is_client(int fd)
{
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        if (clients[i].fd == fd)
            return true;
    return probe.fd == fd;
}

static int set_timer(int fd, int flags, const struct itimerspec *when)
{
    return scenario_timer_set(fd, flags, when);
}

/* --- what is tried --- */

static const trial plausible[] = {
    { RECV, { SHORT, EINTR, EAGAIN, ECONNRESET, ETIMEDOUT, ENOMEM } },
    { SEND, { SHORT, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM } },
    { SENDMSG, { SHORT, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM } },
    { ACCEPT, { EINTR, EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOMEM, ENOBUFS, EPROTO } },
    { EPOLL_WAIT, { EINTR } },
    { EPOLL_CTL, { ENOMEM, ENOSPC } },
    { SHUTDOWN, { ENOTCONN } },
    { CLOSE, { EINTR, EIO } },
    { GETSOCKNAME, { ENOBUFS } },
    { SETSOCKOPT, { ENOMEM } },
    { TIMER_SET, { EINVAL } },
    { UNSENT, { EINVAL } },
    { READ, { EINTR, EAGAIN } },
    { WRITE, { EINTR, EAGAIN } },
};

static void clear_clients(void)
{
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        clients[i].fd = -1;
    probe.fd = -1;
}

/* Whatever has failed, somebody who comes now is served. */
static void serve_another(serving *s, const scenario *what)
{
    s->app = app_hello;
    client_open(&probe, s);
    client_send(&probe, GET("/"));
    SERVE_UNTIL(s, client_has(&probe, "hello"));
    client_close(&probe);
    s->app = what->app;
}

/* Sets the fault for one phase, counting from now. */
static void set_fault(const enum phase *now, enum phase wanted, unsigned at)
{
    memset(fault.made, 0, sizeof fault.made);
    fault.at = *now == wanted ? at : 0;
}

/* Whether the last run of a scenario had other exchanges than it has when nothing fails, though its fault is one that
   only puts off. */
static bool lost;

/* Runs the scenario with that fault, which is to come in that phase; returns whether it came to it. `exchanges` is how
   many it has when nothing fails. */
static bool run_once(const scenario *what, enum phase wanted, unsigned at, unsigned *exchanges)
{
    serving s = { 0 };
    clear_clients();
    unsigned before = count_descriptors();
    bool reached = false;
    fault.at = 0;
    check_mem_init(&s.mem);
    CHECK(scenario_open(&s, what) == 0);
    for (enum phase phase = BEGIN; phase < PHASES; phase++) {
        set_fault(&phase, wanted, at);
        (phase == BEGIN ? what->begin : what->end)(&s, clients);
        reached = reached || (phase == wanted && fault.made[fault.call] >= at);
        fault.at = 0;
        if (phase == BEGIN)
            serve_another(&s, what);
    }
    while (s.n_held > 0)
        serving_release(&s);
    scenario_skip(10);
    SERVE_UNTIL(&s, tri_server_drained(s.server));
    if (fault.error == 0)
        *exchanges = s.exchanges;
    bool puts_off = fault.error == SHORT || fault.error == EINTR || fault.error == EAGAIN;
    lost = puts_off && s.exchanges != *exchanges;
    serving_fini(&s);
    CHECK(scenario_lent == scenario_released);
    CHECK(count_descriptors() == before);
    CHECK(s.turns < SCENARIO_TURNS);
    if (check_failed > 0)
        fprintf(stderr, "call %d, errno %d, the %u-th time, phase %d\n", (int)fault.call, fault.error, at, (int)wanted);
    return reached;
}

/* Sets how many exchanges a scenario has when nothing fails. */
static void count_exchanges(const scenario *what, unsigned *exchanges)
{
    int error = fault.error;
    fault.error = 0;
    CHECK(!run_once(what, BEGIN, UINT32_MAX, exchanges) && *exchanges > 6);
    fault.error = error;
}

/* Runs a scenario with a fault; what is only put off loses no request. The scenario has so many turns for what its
   clients send: where a busy kernel delivers that late, with the fault or without, both are run again. */
static bool run_faulty(const scenario *what, enum phase wanted, unsigned at, unsigned *exchanges)
{
    bool reached = run_once(what, wanted, at, exchanges);
    for (int again = 0; again < 5 && lost; again++) {
        count_exchanges(what, exchanges);
        reached = run_once(what, wanted, at, exchanges);
    }
    CHECK(!lost);
    return reached;
}

static unsigned tried;

/* Each call of one kind fails in turn, with each errno; returns how many calls there are. */
static unsigned try_call(const scenario *what, enum phase phase, const trial *kind, unsigned *exchanges)
{
    unsigned most = 0;
    for (const int *error = kind->errors; *error != 0; error++) {
        unsigned at = 1;
        fault.call = kind->call;
        fault.error = *error;
        while (check_failed == 0 && run_faulty(what, phase, at, exchanges))
            at++, tried++;
        most = at - 1 > most ? at - 1 : most;
    }
    return most;
}

static void test_each_call(void)
{
    unsigned made[CALLS] = { 0 };
    for (int i = 0; i < SCENARIOS; i++) {
        unsigned exchanges = 0;
        memset(&fault, 0, sizeof fault);
        count_exchanges(&scenarios[i], &exchanges);
        for (enum phase phase = BEGIN; phase < PHASES; phase++)
            for (size_t k = 0; k < sizeof plausible / sizeof *plausible; k++)
                made[plausible[k].call] += try_call(&scenarios[i], phase, &plausible[k], &exchanges);
    }
    for (size_t k = 0; k < sizeof plausible / sizeof *plausible; k++)
        CHECK(made[plausible[k].call] > 0); /* the scenarios make each of them */
    CHECK(faults_made >= tried);
    printf("%u faults\n", tried);
}

/* While a call fails again and again, the server rests between its tries; then it goes on. */
static void test_not_busy(void)
{
    static const trial trials[] = {
        { ACCEPT, { EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED, EPROTO, EPERM, EINVAL } },
        { EPOLL_CTL, { ENOMEM, ENOSPC } },
        { TIMER_SET, { EINVAL } },
    };
    tri_limits limits = short_limits();
    for (size_t k = 0; k < sizeof trials / sizeof *trials; k++) {
        for (const int *error = trials[k].errors; *error != 0; error++) {
            serving s;
            clear_clients();
            fault.at = 0;
            serving_init(&s, &limits, app_hello);
            memset(&fault, 0, sizeof fault);
            fault.call = trials[k].call;
            fault.error = *error;
            fault.at = 1;
            fault.more = UINT32_MAX;
            client_open(&clients[0], &s);
            client_send(&clients[0], GET("/"));
            serve_for(&s, 350);
            CHECK(s.turns < 15 && fault.made[fault.call] > 0);
            bool told = fault.call == ACCEPT;
            CHECK(!told || (s.refusals == 1 && s.refusal.status == TRI_REFUSAL_WAIT)); /* once */
            fault.at = 0;
            fault.more = 0;
            serve_another(&s, &scenarios[0]);
            client_close(&clients[0]);
            serving_fini(&s);
        }
    }
}

/* A server that cannot be made says so, and leaves nothing. */
static void test_no_server(void)
{
    static const enum call calls[] = { EPOLL_NEW, TIMER_NEW, EVENT_NEW };
    tri_limits limits;
    tri_limits_default(&limits);
    clear_clients();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        unsigned before = count_descriptors();
        serving s = { 0 };
        check_mem_init(&s.mem);
        memset(&fault, 0, sizeof fault);
        fault.call = calls[i];
        fault.error = EMFILE;
        fault.at = 1;
        int error = serving_open(&s, &limits, app_hello);
        CHECK((error == TRI_EMFILE || error == TRI_ESYS) && errno == EMFILE);
        CHECK(s.server == NULL && s.mem.blocks_out == 0);
        CHECK(count_descriptors() == before);
    }
}

int main(void)
{
    test_no_server();
    test_each_call();
    test_not_busy();
    return check_report();
}
