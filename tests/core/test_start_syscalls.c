#define _GNU_SOURCE 1
/* Every system call with which listeners, workers, logs and the watchdog begin and end fails in turn, with each errno
   that the kernel may give: what was begun is undone, the error is told, and the next try succeeds. */
#include "faults.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/un.h>

#include "net/listener.h"
#include "net/socket.h"
#include "net/watchdog.h"
#include "server/access_sink.h"
#include "server/board.h"
#include "server/tricorn.h"

static bool is_client(int fd)
{
    (void)fd;
    return false;
}

static int set_timer(int fd, int flags, const struct itimerspec *when)
{
    return (int)syscall(SYS_timerfd_settime, fd, flags, when, NULL);
}

static check_mem mem;
static char path[64];
static int ends[2] = { -1, -1 };

/* --- what is done; each returns 0 or an error, and leaves nothing open --- */

/* The port of a socket, as the kernel has it; 0 for one that has none. */
static unsigned port_of(int fd)
{
    struct sockaddr_in6 at = { 0 }; /* whose port stands where that of IPv4 does */
    socklen_t size = sizeof at;
    return syscall(SYS_getsockname, fd, &at, &size) == 0 && at.sin6_family != AF_UNIX ? at.sin6_port : 0;
}

/* Closes listeners, which must all have one port. */
static int close_listeners(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        CHECK(port_of(fds[i]) == port_of(fds[0]));
    while (n > 0)
        tri_socket_close(fds[--n]);
    return n;
}

static int listen_tcp(void)
{
    int fds[TRI_LISTENER_MAX];
    return close_listeners(fds, tri_listener_tcp("127.0.0.1", 0, 16, fds));
}

static int listen_everywhere(void)
{
    int fds[TRI_LISTENER_MAX];
    return close_listeners(fds, tri_listener_tcp_shared("", 0, 16, fds));
}

/* Over a socket that another process has left. */
static int listen_unix(void)
{
    int fd = tri_listener_unix(path, 0600, 16);
    return fd < 0 ? fd : close_listeners(&fd, 1);
}

static int listen_unix_plain(void)
{
    int fd = tri_listener_unix(path, -1, 16);
    return fd < 0 ? fd : close_listeners(&fd, 1);
}

static int adopt(void)
{
    return tri_listener_adopt(ends[0], 16);
}

static int attach(void)
{
    tri_board board = { 0 };
    int error = tri_board_attach(&board, ends[0], 0);
    tri_board_detach(&board);
    return error;
}

/* Hands a descriptor over; what is not taken is read up by the next test's sockets, which are others. */
static int hand_over(void)
{
    char text[4] = "";
    int fd = -1, error = tri_socket_give(ends[0], "abc", 3, ends[0]);
    if (error != 0)
        return error;
    ptrdiff_t n = tri_socket_take(ends[1], text, sizeof text, &fd);
    if (fd >= 0)
        tri_socket_close(fd);
    CHECK(n < 0 || (n == 3 && fd >= 0));
    return n < 0 ? (int)n : 0;
}

/* Every line is written, whole and once, or counted as lost. */
static int log_lines(void)
{
    enum { LINES = 5 };
    tri_access_sink sink;
    int why;
    char text[64] = "";
    unsigned lines = 0;
    tri_access_sink_init(&sink, &mem.mem, ends[1], 16);
    for (int i = 0; i < LINES; i++) {
        tri_access_sink_add(&sink, TRI_SPAN("a line\n"));
        if (i == 2)
            tri_access_sink_write(&sink);
    }
    tri_access_sink_finish(&sink, 50);
    uint64_t lost = tri_access_sink_lost(&sink, &why);
    tri_access_sink_fini(&sink);
    ssize_t n = syscall(SYS_read, ends[0], text, sizeof text - 1);
    for (ssize_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    CHECK(lines + lost == LINES && (lost == 0 || why != 0));
    return 0;
}

/* To a reader that takes none: it is waited for, then the lines are lost. */
static int log_in_vain(void)
{
    tri_access_sink sink;
    int why;
    tri_access_sink_init(&sink, &mem.mem, ends[1], 16);
    tri_access_sink_add(&sink, TRI_SPAN("a line\n"));
    tri_access_sink_finish(&sink, 2);
    CHECK(tri_access_sink_lost(&sink, &why) == 1 && why != 0);
    tri_access_sink_fini(&sink);
    return 0;
}

static int watch(void)
{
    static const tri_watchdog_end end = { "late\n", 5, 4 };
    const tri_watchdog_signals signals = { { SIGUSR1 }, 1, { 0, 0, 0 }, 0, 0 };
    tri_watchdog *dog;
    int error = tri_watchdog_new(&dog, &mem.mem);
    if (error != 0)
        return error;
    error = tri_watchdog_heed(dog, &signals, &end);
    if (error == 0)
        error = tri_watchdog_set(dog, 60000, &end);
    if (error == 0)
        error = tri_watchdog_set(dog, 0, &end);
    tri_watchdog_free(dog);
    return error;
}

static int make_server(void)
{
    int fds[TRI_LISTENER_MAX];
    tri_server *server;
    tri_settings settings = { .mem = &mem.mem, .server = TRI_SPAN("test"), .date = true };
    tri_limits_default(&settings.limits);
    int error = tri_server_new(&server, &settings);
    if (error != 0)
        return error;
    int n = tri_listener_tcp("127.0.0.1", 0, 16, fds);
    error = n < 0 ? n : tri_server_listen(server, fds[0], 0);
    tri_server_wake(server);
    if (error == 0)
        error = tri_server_turn(server, 0);
    tri_server_stop(server);
    tri_server_free(server);
    return error;
}

/* --- what it needs before --- */

static void no_ends(void)
{
    (void)syscall(SYS_unlink, path);
}

static void stale_socket(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    no_ends();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    close(fd);
}

static void tcp_socket(void)
{
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
}

static void board_memory(void)
{
    ends[0] = memfd_create("board", MFD_CLOEXEC);
    CHECK(ftruncate(ends[0], 4 * TRI_BOARD_CELL) == 0);
}

static void channel(void)
{
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
}

static void pipe_ends(void)
{
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
}

static void full_pipe(void)
{
    static const char bytes[4096];
    pipe_ends();
    while (syscall(SYS_write, ends[1], bytes, sizeof bytes) > 0)
        continue;
}

static void stream(void)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
}

static const struct {
    const char *name;
    void (*prepare)(void);
    int (*act)(void);
} scenarios[] = {
    { "TCP", no_ends, listen_tcp },
    { "every address", no_ends, listen_everywhere },
    { "Unix over a stale file", stale_socket, listen_unix },
    { "Unix over a stale file, its mode kept", stale_socket, listen_unix_plain },
    { "Unix", no_ends, listen_unix_plain },
    { "an inherited socket", tcp_socket, adopt },
    { "a board", board_memory, attach },
    { "a connection handed over", channel, hand_over },
    { "a log in a pipe", pipe_ends, log_lines },
    { "a log in a socket", stream, log_lines },
    { "a log that nobody reads", full_pipe, log_in_vain },
    { "the watchdog", no_ends, watch },
    { "a server", no_ends, make_server },
};

static const trial plausible[] = {
    { SOCKET, { EMFILE, ENFILE, ENOBUFS, ENOMEM, EAFNOSUPPORT, EACCES } },
    { BIND, { EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOMEM, EROFS, ENOSPC } },
    { LISTEN, { EADDRINUSE, EOPNOTSUPP } },
    { CONNECT, { EINTR, EAGAIN, EACCES, EPROTOTYPE } },
    { FCNTL, { EMFILE, EBADF, EPERM } },
    { GETSOCKOPT, { ENOTSOCK, ENOBUFS } },
    { SETSOCKOPT, { ENOMEM, EINVAL, ENOPROTOOPT } },
    { GETSOCKNAME, { ENOBUFS } },
    { POLL, { EINTR, ENOMEM } },
    { SEND, { SHORT, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM } },
    { SENDMSG, { EINTR, EAGAIN, EPIPE, ETOOMANYREFS, ENOBUFS, ENOMEM } },
    { RECVMSG, { EINTR, EAGAIN, ECONNRESET, ENOMEM } },
    { FSTAT, { EIO, EOVERFLOW } },
    { MMAP, { ENOMEM, EACCES, ENODEV } },
    { LSTAT, { EACCES, EIO, ENOMEM } },
    { CHMOD, { EPERM, EROFS, EIO } },
    { UNLINK, { EACCES, EPERM, EROFS, EIO, ENOENT } },
    { LOG, { SHORT, EINTR, EAGAIN, ENOSPC, EIO, EDQUOT, EFBIG, EPIPE } },
    { READ, { EINTR, EAGAIN } },
    { WRITE, { EINTR, EAGAIN } },
    { CLOSE, { EINTR, EIO } },
    { EPOLL_NEW, { EMFILE, ENFILE, ENOMEM } },
    { EPOLL_CTL, { ENOMEM, ENOSPC } },
    { EPOLL_WAIT, { EINTR } },
    { TIMER_NEW, { EMFILE, ENFILE, ENOMEM } },
    { EVENT_NEW, { EMFILE, ENFILE, ENOMEM } },
};

enum { SCENARIOS = sizeof scenarios / sizeof *scenarios, TRIALS = sizeof plausible / sizeof *plausible };

/* Whether an error is told by its errno. */
static bool is_of_the_system(int error)
{
    return error == TRI_ESYS || error == TRI_EMFILE;
}

/* Does a scenario with the fault that is set, then without; returns whether it came to that. */
static bool run_faulty(int which, unsigned at)
{
    unsigned before = count_descriptors();
    scenarios[which].prepare();
    memset(fault.made, 0, sizeof fault.made);
    fault.at = at;
    errno = 0;
    int error = scenarios[which].act();
    int number = errno;
    fault.at = 0;
    bool reached = fault.made[fault.call] >= at;
    CHECK(error <= 0 && (reached || error == 0));
    CHECK(!is_of_the_system(error) || number == fault.error || number == EADDRINUSE);
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
        ends[i] = -1;
    }
    CHECK(count_descriptors() == before && mem.blocks_out == 0 && mem.bytes_out == 0);
    scenarios[which].prepare();
    CHECK(scenarios[which].act() == 0); /* the next time */
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
        ends[i] = -1;
    }
    CHECK(count_descriptors() == before);
    if (check_failed > 0)
        fprintf(stderr, "%s: call %d, errno %d, the %u-th time: %d, %d\n", scenarios[which].name, (int)fault.call,
                fault.error, at, error, number);
    return reached;
}

int main(void)
{
    unsigned tried = 0, made[CALLS] = { 0 };
    (void)signal(SIGPIPE, SIG_IGN);
    snprintf(path, sizeof path, "/tmp/tricorn-test-%d.sock", (int)getpid());
    check_mem_init(&mem);
    for (int i = 0; i < SCENARIOS; i++) {
        for (int k = 0; k < TRIALS; k++) {
            for (const int *error = plausible[k].errors; *error != 0; error++) {
                fault.call = plausible[k].call;
                fault.error = *error;
                for (unsigned at = 1; check_failed == 0 && run_faulty(i, at); at++)
                    made[fault.call]++, tried++;
            }
        }
    }
    for (int k = 0; k < TRIALS; k++)
        if (made[plausible[k].call] == 0) { /* the scenarios make each of them */
            CHECK(false);
            fprintf(stderr, "call %d is not made\n", (int)plausible[k].call);
        }
    no_ends();
    CHECK(faults_made >= tried);
    printf("%u faults\n", tried);
    return check_report();
}
