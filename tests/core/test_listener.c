#define _GNU_SOURCE 1
/* Listening sockets of every kind, and their failures. */
#include "check.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "net/listener.h"
#include "net/socket.h"

/* A call that is to fail: for sockets of `family` (0: any), after `skip` that do not, `count` times, with `number`. */
typedef struct fault {
    int family;
    int skip;
    int count;
    int number;
} fault;

static fault socket_fault, bind_fault, listen_fault;

/* Whether this call is to fail; errno is set then. */
static bool fails(fault *self, int family)
{
    if (self->count == 0 || (self->family != 0 && self->family != family))
        return false;
    if (self->skip > 0) {
        self->skip--;
        return false;
    }
    self->count--;
    errno = self->number;
    return true;
}

static void forget_faults(void)
{
    socket_fault = bind_fault = listen_fault = (fault){ 0 };
}

/* These definitions go before the C library's. */
int socket(int family, int type, int protocol)
{
    return fails(&socket_fault, family) ? -1 : (int)syscall(SYS_socket, family, type, protocol);
}

int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return fails(&bind_fault, address->sa_family) ? -1 : (int)syscall(SYS_bind, fd, address, size);
}

int listen(int fd, int backlog)
{
    return fails(&listen_fault, 0) ? -1 : (int)syscall(SYS_listen, fd, backlog);
}

/* The names that this test makes up, each with a result of its own. */
static struct sockaddr_in fake_ipv4;
static struct sockaddr_in6 fake_ipv6;
static struct addrinfo fake[40];

/* Fills `fake` with `n` addresses: 127.0.0.1, once more, then ::1 and 127.0.0.1 in turn. */
static void fill_fake(int n)
{
    fake_ipv4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    fake_ipv6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    for (int i = 0; i < n; i++) {
        bool ipv4 = i < 2 || i % 2 != 0;
        memset(&fake[i], 0, sizeof fake[i]);
        fake[i].ai_addr = ipv4 ? (struct sockaddr *)&fake_ipv4 : (struct sockaddr *)&fake_ipv6;
        fake[i].ai_next = i + 1 < n ? &fake[i + 1] : NULL;
    }
}

int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
    static const struct {
        const char *host;
        int result;
    } failing[] = {
        { "none.test", EAI_NONAME },
        { "memory.test", EAI_MEMORY },
        { "again.test", EAI_AGAIN },
        { "system.test", EAI_SYSTEM },
    };
    for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
        if (strcmp(host, failing[i].host) == 0) {
            errno = EMFILE;
            return failing[i].result;
        }
    }
    if (strcmp(host, "both.test") == 0 || strcmp(host, "packet.test") == 0) {
        fill_fake(host[0] == 'b' ? 40 : 1);
        if (host[0] == 'p')
            fake_ipv4.sin_family = AF_PACKET;
        *out = fake;
        return 0;
    }
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(host, service, hints, out);
}

void freeaddrinfo(struct addrinfo *list)
{
    if (list == fake)
        return;
    void (*real)(struct addrinfo *);
    *(void **)&real = dlsym(RTLD_NEXT, "freeaddrinfo");
    real(list);
}

/* The descriptor that comes next: the same before and after when nothing leaks. */
static int next_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static void close_all(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static uint16_t port_of(int fd)
{
    tri_addr addr;
    tri_listener_address(fd, &addr);
    return addr.port;
}

/* Whether a client reaches `port` of the numeric `host`. */
static bool reaches(const char *host, uint16_t port)
{
    struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    bool is_ipv4 = inet_pton(AF_INET, host, &ipv4.sin_addr) == 1;
    CHECK(is_ipv4 || inet_pton(AF_INET6, host, &ipv6.sin6_addr) == 1);
    int fd = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
    struct sockaddr *at = is_ipv4 ? (struct sockaddr *)&ipv4 : (struct sockaddr *)&ipv6;
    int result = connect(fd, at, is_ipv4 ? sizeof ipv4 : sizeof ipv6);
    close(fd);
    return result == 0;
}

/* Whether this machine has the IPv6 loopback address. */
static bool have_ipv6(void)
{
    int fds[TRI_LISTENER_MAX];
    int n = tri_listener_tcp("::1", 0, 1, fds);
    close_all(fds, n);
    return n == 1;
}

static void test_ipv4(void)
{
    int before = next_fd(), fds[TRI_LISTENER_MAX];
    int n = tri_listener_tcp("127.0.0.1", 0, 5, fds);
    CHECK(n == 1);
    CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    tri_addr addr;
    tri_listener_address(fds[0], &addr);
    CHECK(addr.family == TRI_FAMILY_IPV4 && addr.port != 0 && memcmp(addr.ip, "\x7f\0\0\1", 4) == 0);
    CHECK(reaches("127.0.0.1", addr.port));
    int more[TRI_LISTENER_MAX];
    CHECK(tri_listener_tcp("127.0.0.1", addr.port, 5, more) == TRI_ESYS && errno == EADDRINUSE);
    close_all(fds, n);
    /* What a restart needs: the port may be bound again at once, though connections of before linger. */
    n = tri_listener_tcp("127.0.0.1", addr.port, 5, fds);
    CHECK(n == 1 && port_of(fds[0]) == addr.port);
    close_all(fds, n);
    n = tri_listener_tcp("0.0.0.0", 0, 5, fds);
    CHECK(n == 1 && reaches("127.0.0.1", port_of(fds[0])));
    close_all(fds, n);
    CHECK(next_fd() == before);
}

/* Further sockets may be bound to the same address, if each of them says so. */
static void test_shared(void)
{
    int before = next_fd(), fds[TRI_LISTENER_MAX], more[TRI_LISTENER_MAX];
    int n = tri_listener_tcp_shared("127.0.0.1", 0, 5, fds);
    uint16_t port = port_of(fds[0]);
    CHECK(n == 1 && tri_listener_tcp_shared("127.0.0.1", port, 5, more) == 1);
    CHECK(port_of(more[0]) == port && reaches("127.0.0.1", port));
    close_all(more, 1);
    CHECK(tri_listener_tcp("127.0.0.1", port, 5, more) == TRI_ESYS && errno == EADDRINUSE);
    close_all(fds, n);
    CHECK(next_fd() == before);
}

static void test_ipv6(void)
{
    if (!have_ipv6())
        return;
    int fds[TRI_LISTENER_MAX], more[TRI_LISTENER_MAX];
    int n = tri_listener_tcp("::1", 0, 5, fds);
    tri_addr addr;
    tri_listener_address(fds[0], &addr);
    CHECK(n == 1 && addr.family == TRI_FAMILY_IPV6 && reaches("::1", addr.port));
    close_all(fds, n);
    /* "::" is IPv6 alone: the same port of IPv4 stays free, unless another process of this machine has it just now. */
    int n_more = 0;
    for (int attempt = 0; attempt < 10 && n_more != 1; attempt++) {
        n = tri_listener_tcp("::", 0, 5, fds);
        CHECK(n == 1 && reaches("::1", port_of(fds[0])));
        uint16_t port = port_of(fds[0]);
        n_more = reaches("127.0.0.1", port) ? TRI_ESYS : tri_listener_tcp("127.0.0.1", port, 5, more);
        close_all(fds, n);
    }
    CHECK(n_more == 1);
    close_all(more, n_more);
}

/* No host: both families, on the same port, also when it is chosen by the kernel. */
static void test_everywhere(void)
{
    const char *hosts[] = { NULL, "" };
    int families = have_ipv6() ? 2 : 1;
    for (int i = 0; i < 2; i++) {
        int fds[TRI_LISTENER_MAX];
        int n = tri_listener_tcp(hosts[i], 0, 5, fds);
        CHECK(n == families);
        uint16_t port = port_of(fds[0]);
        CHECK(port != 0 && port_of(fds[n - 1]) == port);
        CHECK(reaches("127.0.0.1", port));
        CHECK(families == 1 || reaches("::1", port));
        close_all(fds, n);
        n = tri_listener_tcp(hosts[i], port, 5, fds);
        CHECK(n == families && port_of(fds[0]) == port && port_of(fds[n - 1]) == port);
        close_all(fds, n);
    }
}

static void test_names(void)
{
    int before = next_fd(), fds[TRI_LISTENER_MAX];
    int n = tri_listener_tcp("localhost", 0, 5, fds);
    CHECK(n >= 1 && reaches("127.0.0.1", port_of(fds[0])));
    for (int i = 1; i < n; i++)
        CHECK(port_of(fds[i]) == port_of(fds[0]));
    close_all(fds, n);
    n = tri_listener_tcp("both.test", 0, 5, fds); /* each address only once */
    CHECK(n == (have_ipv6() ? 2 : 1) && port_of(fds[n - 1]) == port_of(fds[0]));
    close_all(fds, n);
    CHECK(tri_listener_tcp("none.test", 0, 5, fds) == TRI_EINVAL && errno == 0);
    CHECK(tri_listener_tcp("again.test", 0, 5, fds) == TRI_EINVAL && errno == 0);
    CHECK(tri_listener_tcp("packet.test", 0, 5, fds) == TRI_EINVAL && errno == 0);
    CHECK(tri_listener_tcp("memory.test", 0, 5, fds) == TRI_ENOMEM);
    CHECK(tri_listener_tcp("system.test", 0, 5, fds) == TRI_EMFILE && errno == EMFILE);
    CHECK(next_fd() == before);
}

/* A machine without IPv6, or without this address of it, listens on the rest; without anything it says why. */
static void test_missing_family(void)
{
    int before = next_fd(), fds[TRI_LISTENER_MAX];
    socket_fault = (fault){ AF_INET6, 0, 100, EAFNOSUPPORT };
    int n = tri_listener_tcp(NULL, 0, 5, fds);
    CHECK(n == 1 && reaches("127.0.0.1", port_of(fds[0])));
    close_all(fds, n);
    CHECK(tri_listener_tcp("::1", 0, 5, fds) == TRI_ESYS && errno == EAFNOSUPPORT);
    forget_faults();
    bind_fault = (fault){ AF_INET6, 0, 100, EADDRNOTAVAIL };
    n = tri_listener_tcp("both.test", 0, 5, fds);
    CHECK(n == 1 && reaches("127.0.0.1", port_of(fds[0])));
    close_all(fds, n);
    bind_fault = (fault){ 0, 0, 100, EADDRNOTAVAIL };
    CHECK(tri_listener_tcp(NULL, 0, 5, fds) == TRI_ESYS && errno == EADDRNOTAVAIL);
    forget_faults();
    CHECK(tri_listener_tcp("192.0.2.1", 0, 5, fds) == TRI_ESYS && errno == EADDRNOTAVAIL);
    CHECK(next_fd() == before);
}

/* A free port that the second family has in use is chosen anew, but not without end; a given port is not. */
static void test_port_clash(void)
{
    int before = next_fd(), fds[TRI_LISTENER_MAX];
    bind_fault = (fault){ AF_INET, 0, 3, EADDRINUSE };
    int n = tri_listener_tcp(NULL, 0, 5, fds);
    CHECK(n >= 1 && bind_fault.count == 0 && port_of(fds[n - 1]) == port_of(fds[0]));
    close_all(fds, n);
    listen_fault = (fault){ 0, 1, 1, EADDRINUSE };
    n = tri_listener_tcp("both.test", 0, 5, fds);
    CHECK(n >= 1);
    close_all(fds, n);
    forget_faults();
    bind_fault = (fault){ AF_INET, 0, 1000, EADDRINUSE };
    CHECK(tri_listener_tcp(NULL, 0, 5, fds) == TRI_ESYS && errno == EADDRINUSE);
    CHECK(bind_fault.count > 900);
    bind_fault = (fault){ AF_INET, 0, 1000, EADDRINUSE };
    CHECK(tri_listener_tcp("127.0.0.1", 1, 5, fds) == TRI_ESYS && errno == EADDRINUSE);
    CHECK(bind_fault.count == 999);
    bind_fault = (fault){ AF_INET, 0, 1, EACCES };
    CHECK(tri_listener_tcp(NULL, 0, 5, fds) == TRI_ESYS && errno == EACCES);
    forget_faults();
    CHECK(next_fd() == before);
}

/* Descriptors run out at the first or second socket: said so, and nothing stays open. */
static void test_out_of_descriptors(void)
{
    int before = next_fd(), fds[TRI_LISTENER_MAX];
    for (int skip = 0; skip < (have_ipv6() ? 2 : 1); skip++) {
        socket_fault = (fault){ 0, skip, 1, EMFILE };
        CHECK(tri_listener_tcp(NULL, 0, 5, fds) == TRI_EMFILE);
        CHECK(next_fd() == before);
    }
    socket_fault = (fault){ AF_UNIX, 0, 1, ENFILE };
    CHECK(tri_listener_unix("/tmp/tricorn-never-made", 0600, 5) == TRI_EMFILE);
    CHECK(access("/tmp/tricorn-never-made", F_OK) != 0);
    forget_faults();
}

static char folder[] = "/tmp/tricorn-listener-XXXXXX";

/* A path in the test's own folder; valid until the next call. */
static const char *in_folder(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The permissions of a file, or -1. */
static int mode_of(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 ? (int)(status.st_mode & 07777) : -1;
}

/* The address of a Unix socket. */
static struct sockaddr_un unix_at(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    memcpy(at.sun_path, path, n < sizeof at.sun_path ? n : sizeof at.sun_path);
    return at;
}

/* Whether a client reaches a Unix socket. */
static bool reaches_unix(const char *path)
{
    struct sockaddr_un at = unix_at(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int result = connect(fd, (struct sockaddr *)&at, sizeof at);
    close(fd);
    return result == 0;
}

static void test_unix_mode(void)
{
    static const int modes[] = { 0600, 0666, 0777, 0 };
    mode_t mask = umask(027);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const char *path = in_folder("mode");
        int fd = tri_listener_unix(path, modes[i], 5);
        CHECK(fd >= 0 && mode_of(path) == modes[i]);
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        tri_addr addr;
        tri_listener_address(fd, &addr);
        CHECK(addr.family == TRI_FAMILY_UNIX);
        close(fd);
        unlink(path);
    }
    int fd = tri_listener_unix(in_folder("mode"), -1, 5);
    CHECK(fd >= 0 && mode_of(in_folder("mode")) == (0777 & ~027));
    close(fd);
    unlink(in_folder("mode"));
    CHECK(umask(mask) == 027);
}

/* A file left by a process that has died is replaced, and its permissions are kept on demand. */
static void test_unix_stale(void)
{
    const char *path = in_folder("stale");
    int fd = tri_listener_unix(path, 0640, 5);
    CHECK(fd >= 0 && reaches_unix(path));
    close(fd);
    CHECK(mode_of(path) == 0640);
    fd = tri_listener_unix(path, -1, 5);
    CHECK(fd >= 0 && mode_of(path) == 0640 && reaches_unix(path));
    close(fd);
    fd = tri_listener_unix(path, 0600, 5);
    CHECK(fd >= 0 && mode_of(path) == 0600);
    close(fd);
    unlink(path);
}

/* A socket on which somebody listens is not taken away, even if its queue is full or it is of another type. */
static void test_unix_live(void)
{
    int before = next_fd();
    const char *path = in_folder("live");
    int fd = tri_listener_unix(path, 0600, 0);
    for (int i = 0; i < 5; i++) {
        CHECK(tri_listener_unix(path, 0600, 5) == TRI_ESYS && errno == EADDRINUSE);
        CHECK(mode_of(path) == 0600);
    }
    close(fd);
    unlink(path);
    struct sockaddr_un at = unix_at(path);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(tri_listener_unix(path, 0600, 5) == TRI_ESYS && errno == EADDRINUSE);
    CHECK(mode_of(path) >= 0);
    close(fd);
    unlink(path);
    CHECK(next_fd() == before);
}

/* Other kinds of files are never touched. */
static void test_unix_other_files(void)
{
    const char *path = in_folder("file");
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(write(file, "data", 4) == 4);
    close(file);
    CHECK(tri_listener_unix(path, 0600, 5) == TRI_ESYS && errno == EEXIST);
    struct stat status;
    CHECK(stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 4);
    unlink(path);
    CHECK(symlink("nowhere", path) == 0);
    CHECK(tri_listener_unix(path, 0600, 5) == TRI_ESYS && errno == EEXIST);
    CHECK(unlink(path) == 0);
    CHECK(tri_listener_unix(folder, 0600, 5) == TRI_ESYS && errno == EEXIST);
}

static void test_unix_bad_paths(void)
{
    char longest[300];
    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    CHECK(tri_listener_unix("", 0600, 5) == TRI_ESYS && errno == EINVAL);
    CHECK(tri_listener_unix(longest, 0600, 5) == TRI_ESYS && errno == ENAMETOOLONG);
    longest[sizeof((struct sockaddr_un *)0)->sun_path] = '\0';
    CHECK(tri_listener_unix(longest, 0600, 5) == TRI_ESYS && errno == ENAMETOOLONG);
    CHECK(tri_listener_unix(in_folder("missing/socket"), 0600, 5) == TRI_ESYS && errno == ENOENT);
}

/* A failure after the file was made removes it again. */
static void test_unix_listen_fails(void)
{
    int before = next_fd();
    const char *path = in_folder("half");
    listen_fault = (fault){ 0, 0, 1, EOPNOTSUPP };
    CHECK(tri_listener_unix(path, 0600, 5) == TRI_ESYS && errno == EOPNOTSUPP);
    CHECK(mode_of(path) == -1);
    bind_fault = (fault){ AF_UNIX, 0, 1, EROFS };
    CHECK(tri_listener_unix(path, 0600, 5) == TRI_ESYS && errno == EROFS);
    forget_faults();
    CHECK(next_fd() == before);
}

/* Inherited descriptors: bound or already listening, TCP or Unix; anything else is refused and stays as it was. */
static void test_adopt(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(tri_listener_adopt(fd, 5) == TRI_OK);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(reaches("127.0.0.1", port_of(fd)));
    CHECK(tri_listener_adopt(fd, 5) == TRI_OK);
    close(fd);
    fd = tri_listener_unix(in_folder("adopt"), 0600, 5);
    CHECK(tri_listener_adopt(fd, 5) == TRI_OK && reaches_unix(in_folder("adopt")));
    close(fd);
    unlink(in_folder("adopt"));
}

/* A connection to a port of 127.0.0.1. */
static int connect_to(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    at.sin_port = htons(port);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(client, (struct sockaddr *)&at, sizeof at) == 0);
    return client;
}

enum { LISTENER, CLIENT, ACCEPTED };

/* A listener of ours, a client, and what is accepted of it. */
static void accept_one(int all[3])
{
    int fds[TRI_LISTENER_MAX];
    tri_addr peer;
    CHECK(tri_listener_tcp("127.0.0.1", 0, 5, fds) == 1);
    all[LISTENER] = fds[0];
    all[CLIENT] = connect_to(port_of(fds[0]));
    all[ACCEPTED] = tri_socket_accept(fds[0], &peer);
}

/* What is accepted from a listener of ours inherits the bound on what the kernel holds unsent. */
static void test_unsent_bound(void)
{
    int all[3], value = -1;
    accept_one(all);
    socklen_t size = sizeof value;
    CHECK(getsockopt(all[ACCEPTED], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &size) == 0
          && value == TRI_LISTENER_UNSENT);
    close_all(all, 3);
}

/* The kernel is told how long to wait where the peer has not taken all, and only there. */
static void test_forsake(void)
{
    int all[3], value = -1;
    accept_one(all);
    socklen_t size = sizeof value;
    tri_socket_forsake(all[ACCEPTED], 1500);
    CHECK(getsockopt(all[ACCEPTED], IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &size) == 0 && value == 0);
    static char bytes[1 << 20];
    struct iovec iov = { bytes, sizeof bytes };
    while (tri_socket_writev(all[ACCEPTED], &iov, 1) > 0)
        continue;
    tri_socket_forsake(all[ACCEPTED], 1500);
    CHECK(getsockopt(all[ACCEPTED], IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &size) == 0 && value == 1500);
    close_all(all, 3);
}

/* A connection that is discarded is reset, and the kernel keeps nothing of what the peer has not taken. */
static void test_discard(void)
{
    int all[3];
    accept_one(all);
    static char bytes[100000];
    struct iovec iov = { bytes, sizeof bytes };
    CHECK(tri_socket_writev(all[ACCEPTED], &iov, 1) > 0);
    tri_socket_discard(all[ACCEPTED]);
    tri_socket_close(all[ACCEPTED]);
    ssize_t got = 1;
    while (got > 0)
        got = recv(all[CLIENT], bytes, sizeof bytes, 0);
    CHECK(got < 0 && errno == ECONNRESET);
    close(all[CLIENT]);
    close(all[LISTENER]);
}

static void test_adopt_refused(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(tri_listener_adopt(fd, 5) == TRI_ESYS && errno == EINVAL);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
    close(fd);
    CHECK(tri_listener_adopt(fd, 5) == TRI_ESYS && errno == EBADF);
    CHECK(tri_listener_adopt(-1, 5) == TRI_ESYS && errno == EBADF);
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    CHECK(tri_listener_adopt(pipes[0], 5) == TRI_ESYS && errno == ENOTSOCK);
    close_all(pipes, 2);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pipes) == 0);
    CHECK(tri_listener_adopt(pipes[0], 5) == TRI_ESYS && errno == EINVAL);
    close_all(pipes, 2);
    tri_addr addr;
    tri_listener_address(-1, &addr);
    CHECK(addr.family == TRI_FAMILY_NONE);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    test_ipv4();
    test_shared();
    test_ipv6();
    test_everywhere();
    test_names();
    test_missing_family();
    test_port_clash();
    test_out_of_descriptors();
    test_unix_mode();
    test_unix_stale();
    test_unix_live();
    test_unix_other_files();
    test_unix_bad_paths();
    test_unix_listen_fails();
    test_adopt();
    test_unsent_bound();
    test_forsake();
    test_discard();
    test_adopt_refused();
    CHECK(rmdir(folder) == 0);
    return check_report();
}
