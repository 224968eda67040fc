#include "net/socket.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
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

/* Descriptors that are read of a message at most; the kernel drops what is beyond. */
enum { TAKE_MOST = 4 };

int tri_socket_give(int channel, const void *bytes, size_t n, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof fd)];
    } control;
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room
    };
    memset(&control, 0, sizeof control);
    control.header =
        (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    ssize_t result = tri_sys_sendmsg(channel, &message);
    if (result >= 0)
        return TRI_OK;
    return errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM ? TRI_EAGAIN : transfer_error(errno);
}

/* The descriptor that a message brought, -1 for none; several are closed. */
static int only_descriptor(struct msghdr *message)
{
    int fds[TAKE_MOST];
    unsigned n = 0;
    for (struct cmsghdr *one = CMSG_FIRSTHDR(message); one != NULL; one = CMSG_NXTHDR(message, one)) {
        if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) <= one->cmsg_len - CMSG_LEN(0) && n < TAKE_MOST; at += sizeof(int))
            memcpy(&fds[n++], CMSG_DATA(one) + at, sizeof(int));
    }
    if (n == 1 && !(message->msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return fds[0];
    while (n > 0)
        tri_sys_close(fds[--n]);
    return -1;
}

/* Whether the process has room for another descriptor. */
static bool has_room(int fd)
{
    int copy = tri_sys_dup(fd);
    if (copy >= 0)
        tri_sys_close(copy);
    return copy >= 0;
}

ptrdiff_t tri_socket_take(int channel, void *bytes, size_t n, int *fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(TAKE_MOST * sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = bytes, .iov_len = n };
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room
    };
    *fd = -1;
    if (!has_room(channel))
        return TRI_EMFILE; /* the kernel would drop it from the message */
    ssize_t result = tri_sys_recvmsg(channel, &message);
    if (result < 0)
        return transfer_error(errno);
    if (result == 0 && message.msg_controllen == 0 && tri_sys_has_hung_up(channel))
        return TRI_ECLOSED;
    *fd = only_descriptor(&message);
    return (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? 0 : result;
}
