#define _GNU_SOURCE 1
/* Connections over the loopback interface, and what the errors of the kernel become. */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net/listener.h"
#include "net/socket.h"

/* The error that the next calls fail with, and how many of them. These definitions go before the C library's. */
static int fault, fault_count;

/* Whether this call is to fail; errno is set then. */
static bool fails(void)
{
    if (fault_count == 0)
        return false;
    fault_count--;
    errno = fault;
    return true;
}

int accept4(int fd, struct sockaddr *restrict peer, socklen_t *restrict size, int flags)
{
    return fails() ? -1 : (int)syscall(SYS_accept4, fd, peer, size, flags);
}

ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
    return fails() ? -1 : syscall(SYS_recvfrom, fd, bytes, n, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    return fails() ? -1 : syscall(SYS_sendto, fd, bytes, n, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return fails() ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}

/* A listener on 127.0.0.1 and one connection through it: `client` blocks, `server` does not. */
typedef struct fixture {
    int listener;
    uint16_t port;
    int client;
    int server;
    tri_addr peer;
} fixture;

/* A blocking connection to a port of 127.0.0.1. */
static int connect_to(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

/* Waits until `fd` is ready for `events`. */
static void wait_for(int fd, short events)
{
    struct pollfd wanted = { fd, events, 0 };
    CHECK(poll(&wanted, 1, 5000) == 1);
}

static void fixture_init(fixture *self)
{
    int fds[TRI_LISTENER_MAX];
    CHECK(tri_listener_tcp("127.0.0.1", 0, 16, fds) == 1);
    self->listener = fds[0];
    tri_addr address;
    tri_listener_address(self->listener, &address);
    self->port = address.port;
    CHECK(tri_socket_accept(self->listener, &self->peer) == TRI_EAGAIN);
    self->client = connect_to(self->port);
    self->server = tri_socket_accept(self->listener, &self->peer);
    CHECK(self->server >= 0);
}

static void fixture_fini(fixture *self)
{
    tri_socket_close(self->listener);
    tri_socket_close(self->server);
    if (self->client >= 0)
        close(self->client);
}

/* A piece of a vector that is only ever written from. */
static struct iovec text_of(const char *text)
{
    return (struct iovec){ (char *)(uintptr_t)text, strlen(text) };
}

/* Writes one piece. */
static ptrdiff_t write_text(int fd, const char *text)
{
    struct iovec iov = text_of(text);
    return tri_socket_writev(fd, &iov, 1);
}

static void test_accepted(void)
{
    fixture f;
    fixture_init(&f);
    int nodelay = 0;
    socklen_t size = sizeof nodelay;
    CHECK(getsockopt(f.server, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size) == 0 && nodelay != 0);
    CHECK(fcntl(f.server, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(f.server, F_GETFD) & FD_CLOEXEC);
    struct sockaddr_in client;
    size = sizeof client;
    CHECK(getsockname(f.client, (struct sockaddr *)&client, &size) == 0);
    CHECK(f.peer.family == TRI_FAMILY_IPV4 && f.peer.port == ntohs(client.sin_port));
    CHECK(memcmp(f.peer.ip, "\x7f\0\0\1", 4) == 0);
    tri_addr local;
    tri_socket_local(f.server, &local);
    CHECK(local.family == TRI_FAMILY_IPV4 && local.port == f.port && memcmp(local.ip, "\x7f\0\0\1", 4) == 0);
    tri_socket_local(-1, &local);
    CHECK(local.family == TRI_FAMILY_NONE);
    fixture_fini(&f);
}

static void test_read_write(void)
{
    fixture f;
    char bytes[100];
    fixture_init(&f);
    CHECK(tri_socket_read(f.server, bytes, sizeof bytes) == TRI_EAGAIN);
    CHECK(write(f.client, "hello", 5) == 5);
    wait_for(f.server, POLLIN);
    CHECK(tri_socket_read(f.server, bytes, 2) == 2);
    CHECK(tri_socket_read(f.server, bytes + 2, 98) == 3 && memcmp(bytes, "hello", 5) == 0);
    CHECK(write_text(f.server, "one") == 3);
    struct iovec iov[3] = { text_of("two"), text_of(""), text_of("three") };
    CHECK(tri_socket_writev(f.server, iov, 3) == 8);
    CHECK(recv(f.client, bytes, 11, MSG_WAITALL) == 11 && memcmp(bytes, "onetwothree", 11) == 0);
    fixture_fini(&f);
}

/* Either side may end its half and still get what is under way. */
static void test_half_close(void)
{
    fixture f;
    char bytes[100];
    fixture_init(&f);
    CHECK(write(f.client, "last", 4) == 4 && shutdown(f.client, SHUT_WR) == 0);
    wait_for(f.server, POLLRDHUP);
    CHECK(tri_socket_read(f.server, bytes, sizeof bytes) == 4);
    CHECK(tri_socket_read(f.server, bytes, sizeof bytes) == 0);
    CHECK(write_text(f.server, "answer") == 6);
    tri_socket_end(f.server);
    CHECK(write_text(f.server, "more") == TRI_ECLOSED);
    CHECK(recv(f.client, bytes, 100, MSG_WAITALL) == 6);
    tri_socket_end(f.server); /* once more, or on nothing at all: no harm */
    tri_socket_end(-1);
    fixture_fini(&f);
}

/* A reader that does not read: writes are partial, then refused, and go on once it reads; the bytes arrive whole. */
static void test_partial_writes(void)
{
    enum { SIZE = 300000, PIECES = 64 };
    static char piece[SIZE], got[SIZE];
    fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < SIZE; i++)
        piece[i] = (char)(i * 7 % 253);
    struct iovec iov[PIECES];
    for (int i = 0; i < PIECES; i++)
        iov[i] = (struct iovec){ piece, SIZE };
    ptrdiff_t total = 0, wrote;
    while ((wrote = tri_socket_writev(f.server, iov, PIECES)) > 0 && total < PIECES * SIZE) {
        total += wrote;
        size_t phase = (size_t)total % SIZE;
        iov[0] = (struct iovec){ piece + phase, SIZE - phase };
    }
    CHECK(wrote == TRI_EAGAIN && total > 0);
    bool same = true;
    for (ptrdiff_t at = 0; at < total;) {
        ssize_t n = recv(f.client, got, SIZE - (size_t)at % SIZE, 0);
        if (n <= 0)
            break;
        same = same && memcmp(got, piece + at % SIZE, (size_t)n) == 0;
        at += n;
    }
    CHECK(same);
    wait_for(f.server, POLLOUT);
    CHECK(write_text(f.server, "on") == 2);
    fixture_fini(&f);
}

/* A reset shows as "closed" for readers and writers, and writing raises no SIGPIPE. */
static void test_reset(void)
{
    fixture f;
    char byte;
    fixture_init(&f);
    struct linger linger = { 1, 0 };
    CHECK(setsockopt(f.client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(f.client);
    f.client = -1;
    wait_for(f.server, POLLIN);
    CHECK(tri_socket_read(f.server, &byte, 1) == TRI_ECLOSED);
    CHECK(write_text(f.server, "x") == TRI_ECLOSED);
    struct iovec two[2] = { text_of("a"), text_of("b") };
    CHECK(tri_socket_writev(f.server, two, 2) == TRI_ECLOSED);
    fixture_fini(&f);
}

/* A connection that was reset while it waited for accept is either reported gone or found closed by the first read. */
static void test_reset_before_accept(void)
{
    fixture f;
    fixture_init(&f);
    struct linger linger = { 1, 0 };
    int client = connect_to(f.port);
    CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(client);
    tri_addr peer;
    char byte;
    wait_for(f.listener, POLLIN);
    int fd = tri_socket_accept(f.listener, &peer);
    CHECK(fd >= 0 || fd == TRI_ECLOSED);
    if (fd >= 0) {
        CHECK(tri_socket_read(fd, &byte, 1) == TRI_ECLOSED);
        tri_socket_close(fd);
    }
    fixture_fini(&f);
}

/* Each error of accept(2), and what it means to the caller. */
static void test_accept_errors(void)
{
    static const struct {
        int number, expected;
    } cases[] = {
        { EAGAIN, TRI_EAGAIN },        { EMFILE, TRI_EMFILE },       { ENFILE, TRI_EMFILE },
        { ENOBUFS, TRI_EMFILE },       { ENOMEM, TRI_EMFILE },       { ECONNABORTED, TRI_ECLOSED },
        { EPROTO, TRI_ECLOSED },       { EPERM, TRI_ECLOSED },       { ENETDOWN, TRI_ECLOSED },
        { ENOPROTOOPT, TRI_ECLOSED },  { EHOSTDOWN, TRI_ECLOSED },   { ENONET, TRI_ECLOSED },
        { EHOSTUNREACH, TRI_ECLOSED }, { ENETUNREACH, TRI_ECLOSED }, { ETIMEDOUT, TRI_ECLOSED },
        { EINVAL, TRI_ESYS },          { EBADF, TRI_ESYS },          { EOPNOTSUPP, TRI_ESYS },
    };
    tri_addr peer;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fault = cases[i].number;
        fault_count = 1;
        CHECK(tri_socket_accept(-1, &peer) == cases[i].expected);
    }
    CHECK(tri_socket_accept(-1, &peer) == TRI_ESYS && errno == EBADF);
}

static void test_transfer_errors(void)
{
    static const struct {
        int number, expected;
    } cases[] = {
        { EAGAIN, TRI_EAGAIN },     { ECONNRESET, TRI_ECLOSED },   { EPIPE, TRI_ECLOSED }, { ENOTCONN, TRI_ECLOSED },
        { ETIMEDOUT, TRI_ECLOSED }, { EHOSTUNREACH, TRI_ECLOSED }, { ENOBUFS, TRI_ESYS },  { ENETDOWN, TRI_ECLOSED },
        { EBADF, TRI_ESYS },        { ECONNREFUSED, TRI_ECLOSED }, { EFAULT, TRI_ESYS },
    };
    struct iovec iov[2] = { text_of("a"), text_of("b") };
    char byte;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fault = cases[i].number;
        fault_count = 3;
        CHECK(tri_socket_read(-1, &byte, 1) == cases[i].expected);
        CHECK(tri_socket_writev(-1, iov, 1) == cases[i].expected);
        CHECK(tri_socket_writev(-1, iov, 2) == cases[i].expected);
    }
}

/* Calls that a signal interrupts are made again, as often as it takes. */
static void test_interrupted(void)
{
    fixture f;
    char byte;
    fixture_init(&f);
    int client = connect_to(f.port);
    fault = EINTR;
    fault_count = 3;
    tri_addr peer;
    int fd = tri_socket_accept(f.listener, &peer);
    CHECK(fd >= 0 && peer.family == TRI_FAMILY_IPV4);
    fault_count = 2;
    CHECK(write_text(fd, "x") == 1);
    struct iovec two[2] = { text_of("a"), text_of("b") };
    fault_count = 2;
    CHECK(tri_socket_writev(fd, two, 2) == 2);
    fault_count = 2;
    CHECK(tri_socket_read(fd, &byte, 1) == TRI_EAGAIN && fault_count == 0);
    close(client);
    tri_socket_close(fd);
    fixture_fini(&f);
}

/* In a child without descriptors: accept says so, the connection still waits, and a freed descriptor gets it. */
static int child_without_descriptors(const fixture *f)
{
    int lowest = dup(0);
    close(lowest);
    struct rlimit limit = { (rlim_t)lowest, (rlim_t)lowest };
    tri_addr peer;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 2;
    for (int i = 0; i < 3; i++) {
        if (tri_socket_accept(f->listener, &peer) != TRI_EMFILE)
            return 3;
    }
    close(f->server);
    int fd = tri_socket_accept(f->listener, &peer);
    return fd == f->server ? 0 : 4;
}

static void test_out_of_descriptors(void)
{
    fixture f;
    fixture_init(&f);
    int waiting = connect_to(f.port);
    wait_for(f.listener, POLLIN);
    pid_t child = fork();
    if (child == 0)
        _exit(child_without_descriptors(&f));
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(waiting);
    fixture_fini(&f);
}

/* A Unix peer has a family and nothing else. */
static void test_unix_peer(void)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/tricorn-socket-%d", (int)getpid());
    int listener = tri_listener_unix(path, 0600, 4);
    CHECK(listener >= 0);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    CHECK(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    CHECK(connect(client, (struct sockaddr *)&at, size) == 0);
    tri_addr peer;
    int fd = tri_socket_accept(listener, &peer);
    CHECK(fd >= 0 && peer.family == TRI_FAMILY_UNIX && peer.port == 0);
    tri_addr local;
    tri_socket_local(fd, &local);
    CHECK(local.family == TRI_FAMILY_UNIX);
    tri_socket_close(fd);
    tri_socket_close(listener);
    close(client);
    unlink(path);
}

int main(void)
{
    test_accepted();
    test_read_write();
    test_half_close();
    test_partial_writes();
    test_reset();
    test_reset_before_accept();
    test_accept_errors();
    test_transfer_errors();
    test_interrupted();
    test_out_of_descriptors();
    test_unix_peer();
    return check_report();
}
