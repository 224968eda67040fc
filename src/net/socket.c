#include "net/socket.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/sys.h"

/* What a failed accept means: accept(2) tells which errors are of the waiting connection, and which are of the machine.
 */
static int accept_error(int number)
{
    switch (number) {
    case EAGAIN:
        return TRI_EAGAIN;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return TRI_EMFILE;
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
        return TRI_ECLOSED;
    default:
        return TRI_ESYS;
    }
}

/* What a failed read or write means. */
static int transfer_error(int number)
{
    switch (number) {
    case EAGAIN:
        return TRI_EAGAIN;
    case ECONNRESET:
    case ECONNABORTED:
    case ECONNREFUSED:
    case EPIPE:
    case ENOTCONN:
    case ETIMEDOUT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ENETUNREACH:
        return TRI_ECLOSED;
    default:
        return TRI_ESYS;
    }
}

int tri_socket_accept(int listener, tri_addr *peer)
{
    struct sockaddr_storage from;
    int fd = tri_sys_accept(listener, &from);
    if (fd < 0)
        return accept_error(errno);
    tri_addr_from(peer, &from);
    if (peer->family == TRI_FAMILY_IPV4 || peer->family == TRI_FAMILY_IPV6)
        (void)!tri_sys_option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* refused only by a peer that has already gone */
    return fd;
}

void tri_socket_local(int fd, tri_addr *local)
{
    struct sockaddr_storage address;
    if (tri_sys_getsockname(fd, &address) != 0)
        address.ss_family = AF_UNSPEC;
    tri_addr_from(local, &address);
}

ptrdiff_t tri_socket_read(int fd, void *bytes, size_t n)
{
    ssize_t result = tri_sys_recv(fd, bytes, n);
    return result < 0 ? transfer_error(errno) : result;
}

ptrdiff_t tri_socket_writev(int fd, const struct iovec *iov, int n)
{
    ssize_t result = tri_sys_send(fd, iov, (size_t)n);
    return result < 0 ? transfer_error(errno) : result;
}

uint32_t tri_socket_unsent(int fd)
{
    int bytes = 0;
    return tri_sys_unsent(fd, &bytes) == 0 && bytes > 0 ? (uint32_t)bytes : 0;
}

void tri_socket_end(int fd)
{
    (void)!tri_sys_shutdown(fd, SHUT_WR);
}

void tri_socket_discard(int fd)
{
    tri_sys_linger_none(fd);
}

void tri_socket_forsake(int fd, uint32_t patience_ms)
{
    if (tri_socket_unsent(fd) > 0)
        (void)!tri_sys_option_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
                                  patience_ms > INT_MAX ? INT_MAX : (int)patience_ms);
}

void tri_socket_close(int fd)
{
    tri_sys_close(fd);
}
