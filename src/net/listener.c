#define _GNU_SOURCE 1
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/un.h>

#include "net/sys.h"

/* How often a free port is chosen anew when another address has it in use. */
enum { PORT_TRIES = 16 };

/* An address to bind to. */
typedef union place {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
} place;

/* Where to listen, and what has come of it so far. */
typedef struct listening {
    place places[TRI_LISTENER_MAX];
    int place_count;
    int backlog;
    uint16_t port; /* 0 until the first socket has found a free one */
    bool shared;   /* others may be bound to the same addresses */
    int *fds;
    int fd_count;
} listening;

/* What a failed call means here. */
static int sys_error(void)
{
    return errno == EMFILE || errno == ENFILE ? TRI_EMFILE : TRI_ESYS;
}

/* The size of an address, by its family. */
static socklen_t place_size(const place *at)
{
    return at->any.sa_family == AF_INET ? sizeof at->ipv4 : sizeof at->ipv6;
}

/* Puts `port` into an address. */
static void place_set_port(place *at, uint16_t port)
{
    if (at->any.sa_family == AF_INET)
        at->ipv4.sin_port = htons(port);
    else
        at->ipv6.sin6_port = htons(port);
}

/* Adds an address unless it is there already, as "localhost" often is; beyond the maximum it is passed over. */
static void add_place(listening *self, const struct sockaddr *address)
{
    place at;
    memset(&at, 0, sizeof at);
    at.any.sa_family = address->sa_family;
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return;
    memcpy(&at, address, place_size(&at));
    for (int i = 0; i < self->place_count; i++) {
        /* Both were zeroed before they were filled. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
        if (memcmp(&at, &self->places[i], sizeof at) == 0)
            return;
    }
    if (self->place_count < TRI_LISTENER_MAX)
        self->places[self->place_count++] = at;
}

/* The addresses that stand for every address of the machine. */
static void add_wildcards(listening *self)
{
    struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
    struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_ANY) } };
    add_place(self, (const struct sockaddr *)&ipv6);
    add_place(self, (const struct sockaddr *)&ipv4);
}

/* What a failed getaddrinfo means. */
static int resolve_error(int result)
{
    switch (result) {
    case EAI_SYSTEM:
        return sys_error();
    case EAI_MEMORY:
        return TRI_ENOMEM;
    default:
        errno = 0;
        return TRI_EINVAL;
    }
}

/* Adds every address that `host` has. */
static int resolve(listening *self, const char *host)
{
    if (host == NULL || *host == '\0') {
        add_wildcards(self);
        return TRI_OK;
    }
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    int result = getaddrinfo(host, NULL, &hints, &found);
    if (result != 0)
        return resolve_error(result);
    for (const struct addrinfo *info = found; info != NULL; info = info->ai_next)
        add_place(self, info->ai_addr);
    freeaddrinfo(found);
    if (self->place_count > 0)
        return TRI_OK;
    errno = 0;
    return TRI_EINVAL;
}

/* Binds `fd` and listens on it. Returns 0, or -1 with errno. */
static int bind_and_listen(listening *self, int fd, place *at)
{
    place_set_port(at, self->port);
    if (tri_sys_option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0)
        return -1;
    if (self->shared && tri_sys_option_set(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0)
        return -1;
    (void)!tri_sys_option_set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, TRI_LISTENER_UNSENT); /* inherited */
    if (at->any.sa_family == AF_INET6 && tri_sys_option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0)
        return -1;
    if (tri_sys_bind(fd, &at->any, place_size(at)) != 0)
        return -1;
    return tri_sys_listen(fd, self->backlog);
}

/* Opens one address; the first that works fixes the port of all. Returns 0, or -1 with errno. */
static int open_place(listening *self, place *at)
{
    int fd = tri_sys_socket(at->any.sa_family);
    if (fd < 0)
        return -1;
    if (bind_and_listen(self, fd, at) != 0) {
        tri_sys_close(fd);
        return -1;
    }
    if (self->port == 0) {
        tri_addr bound;
        tri_listener_address(fd, &bound);
        self->port = bound.port;
    }
    if (self->port == 0) { /* the kernel has not said which one it chose: the other addresses would get another */
        tri_sys_close(fd);
        return -1;
    }
    self->fds[self->fd_count++] = fd;
    return 0;
}

/* Closes what was opened, keeping errno. */
static void close_all(listening *self)
{
    while (self->fd_count > 0)
        tri_sys_close(self->fds[--self->fd_count]);
}

/* Whether the machine lacks the address or its whole family, so that the others will do. */
static bool is_missing(int number)
{
    return number == EAFNOSUPPORT || number == EADDRNOTAVAIL;
}

/* Opens every address once. Returns 0, or -1 with errno and none open. */
static int open_all(listening *self)
{
    int last = 0;
    for (int i = 0; i < self->place_count; i++) {
        if (open_place(self, &self->places[i]) == 0)
            continue;
        last = errno;
        if (!is_missing(last)) {
            close_all(self);
            return -1;
        }
    }
    errno = last;
    return self->fd_count > 0 ? 0 : -1;
}

/* Opens every address of `host` with one port. */
static int open_host(listening *self, const char *host, uint16_t port)
{
    int error = resolve(self, host);
    if (error != TRI_OK)
        return error;
    int tries = port == 0 ? PORT_TRIES : 1;
    while (tries-- > 0) {
        self->port = port;
        if (open_all(self) == 0)
            return self->fd_count;
        if (errno != EADDRINUSE)
            break;
    }
    return sys_error();
}

int tri_listener_tcp(const char *host, uint16_t port, int backlog, int fds[TRI_LISTENER_MAX])
{
    listening self = { .backlog = backlog, .fds = fds };
    return open_host(&self, host, port);
}

int tri_listener_tcp_shared(const char *host, uint16_t port, int backlog, int fds[TRI_LISTENER_MAX])
{
    listening self = { .backlog = backlog, .fds = fds, .shared = true };
    return open_host(&self, host, port);
}

/* Makes the address of a Unix socket. Returns 0, or -1 with errno. */
static int unix_place(struct sockaddr_un *at, const char *path)
{
    size_t n = strlen(path);
    memset(at, 0, sizeof *at);
    at->sun_family = AF_UNIX;
    if (n == 0 || n >= sizeof at->sun_path) {
        errno = n == 0 ? EINVAL : ENAMETOOLONG;
        return -1;
    }
    memcpy(at->sun_path, path, n);
    return 0;
}

/* Whether anyone listens at `at`: 0 when nobody does, else -1 with errno, EADDRINUSE if so. */
static int probe(const struct sockaddr_un *at)
{
    int fd = tri_sys_socket(AF_UNIX);
    if (fd < 0)
        return -1;
    int result = tri_sys_connect(fd, (const struct sockaddr *)at, sizeof *at);
    int number = result == 0 ? EADDRINUSE : errno;
    tri_sys_close(fd);
    if (number == ECONNREFUSED || number == ENOENT)
        return 0;
    /* EAGAIN: its queue is full. EPROTOTYPE: it is not a stream socket. */
    errno = number == EAGAIN || number == EPROTOTYPE ? EADDRINUSE : number;
    return -1;
}

/* Removes a stale socket file; `mode` becomes its permissions if it is negative. Returns 0, or -1 with errno. */
static int remove_stale(const struct sockaddr_un *at, int *mode)
{
    struct stat status;
    if (tri_sys_lstat(at->sun_path, &status) != 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    if (probe(at) != 0)
        return -1;
    if (*mode < 0)
        *mode = (int)(status.st_mode & 0777);
    return tri_sys_unlink(at->sun_path) == 0 || errno == ENOENT ? 0 : -1;
}

/* Gives the new file its permissions before anyone can connect, and listens. Returns 0, or -1 with errno. */
static int unix_open(int fd, const struct sockaddr_un *at, int mode, int backlog)
{
    const struct sockaddr *address = (const struct sockaddr *)at;
    int bound = mode < 0 ? tri_sys_bind(fd, address, sizeof *at) : tri_sys_bind_masked(fd, address, sizeof *at, 0);
    if (bound != 0)
        return -1;
    if (mode >= 0 && tri_sys_chmod(at->sun_path, (mode_t)mode) != 0)
        goto fail;
    if (tri_sys_listen(fd, backlog) == 0)
        return 0;
fail:;
    int number = errno;
    (void)!tri_sys_unlink(at->sun_path);
    errno = number;
    return -1;
}

int tri_listener_unix(const char *path, int mode, int backlog)
{
    struct sockaddr_un at;
    if (unix_place(&at, path) != 0 || remove_stale(&at, &mode) != 0)
        return sys_error();
    int fd = tri_sys_socket(AF_UNIX);
    if (fd < 0)
        return sys_error();
    if (unix_open(fd, &at, mode, backlog) != 0) {
        tri_sys_close(fd);
        return sys_error();
    }
    return fd;
}

int tri_listener_adopt(int fd, int backlog)
{
    int type;
    if (tri_sys_option_get(fd, SOL_SOCKET, SO_TYPE, &type) != 0)
        return TRI_ESYS;
    if (type != SOCK_STREAM) {
        errno = EINVAL;
        return TRI_ESYS;
    }
    if (tri_sys_set_flags(fd) != 0 || tri_sys_listen(fd, backlog) != 0)
        return TRI_ESYS;
    return TRI_OK;
}

void tri_listener_address(int fd, tri_addr *addr)
{
    struct sockaddr_storage address;
    if (tri_sys_getsockname(fd, &address) != 0)
        address.ss_family = AF_UNSPEC;
    tri_addr_from(addr, &address);
}
