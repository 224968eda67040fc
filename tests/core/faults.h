/* Every system call that the core makes, in the place of the C library's: each does what it should, but for the one
   that a test has set to fail, with an errno, or to do less than asked. tests/unit/test_fault_table.py compares these
   with the calls that the built core imports. */
#ifndef TRI_TESTS_FAULTS_H
#define TRI_TESTS_FAULTS_H

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
    RECV,
    SEND,
    SENDMSG,
    ACCEPT,
    EPOLL_WAIT,
    EPOLL_CTL,
    SHUTDOWN,
    CLOSE,
    GETSOCKNAME,
    SETSOCKOPT,
    TIMER_SET,
    UNSENT,
    READ,
    WRITE,
    EPOLL_NEW,
    TIMER_NEW,
    EVENT_NEW,
    LOG,
    SOCKET,
    BIND,
    LISTEN,
    CONNECT,
    FCNTL,
    GETSOCKOPT,
    POLL,
    RECVMSG,
    FSTAT,
    MMAP,
    LSTAT,
    CHMOD,
    UNLINK,
    CALLS
};

enum { SHORT = -1 };

/* The fault that is set, and how often each call was made. */
static struct {
    enum call call;
    unsigned at;   /* from 1 on; 0 for none */
    unsigned more; /* how many after it fail, too */
    int error;     /* an errno, or SHORT */
    unsigned made[CALLS];
} fault;

/* Faults that were made, whatever was set: as many at least as a test says it has tried. */
static unsigned faults_made;

/* The test says which descriptors nothing happens to, and how a timer is set. */
static bool is_client(int fd);
static int set_timer(int fd, int flags, const struct itimerspec *when);

/* Whether this call is one that fails. */
static inline bool is_hit(enum call call)
{
    unsigned n = ++fault.made[call];
    bool hit = fault.call == call && fault.at != 0 && n >= fault.at && n - fault.at <= fault.more;
    faults_made += hit;
    return hit;
}

/* As is_hit, for one that fails altogether; errno is set then. */
static inline bool fails(enum call call)
{
    if (!is_hit(call))
        return false;
    errno = fault.error;
    return true;
}

/* --- these go before the C library's --- */

ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
    bool hit = !is_client(fd) && is_hit(RECV);
    if (hit && fault.error != SHORT) {
        errno = fault.error;
        return -1;
    }
    return syscall(SYS_recvfrom, fd, bytes, hit && n > 1 ? 1 : n, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    bool hit = !is_client(fd) && is_hit(SEND);
    if (hit && fault.error != SHORT) {
        errno = fault.error;
        return -1;
    }
    return syscall(SYS_sendto, fd, bytes, hit && n > 1 ? 1 : n, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    bool hit = is_hit(SENDMSG);
    if (hit && fault.error != SHORT) {
        errno = fault.error;
        return -1;
    }
    if (hit)
        return syscall(SYS_sendto, fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len > 0, flags, NULL, 0);
    return syscall(SYS_sendmsg, fd, message, flags);
}

int accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
    return fails(ACCEPT) ? -1 : (int)syscall(SYS_accept4, fd, peer, size, flags);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
    return fails(EPOLL_WAIT) ? -1 : (int)syscall(SYS_epoll_wait, epoll, events, max, timeout);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return fails(EPOLL_CTL) ? -1 : (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

int shutdown(int fd, int how)
{
    return !is_client(fd) && fails(SHUTDOWN) ? -1 : (int)syscall(SYS_shutdown, fd, how);
}

/* The descriptor is gone, whatever close() says. */
int close(int fd)
{
    bool hit = !is_client(fd) && is_hit(CLOSE);
    int result = (int)syscall(SYS_close, fd);
    if (!hit)
        return result;
    errno = fault.error;
    return -1;
}

int getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    return fails(GETSOCKNAME) ? -1 : (int)syscall(SYS_getsockname, fd, address, size);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    return !is_client(fd) && fails(SETSOCKOPT) ? -1 : (int)syscall(SYS_setsockopt, fd, level, option, value, size);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    (void)before;
    return fails(TIMER_SET) ? -1 : set_timer(fd, flags, when);
}

/* Only what asks for the bytes that a peer has not taken. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list more;
    va_start(more, request);
    void *out = va_arg(more, void *);
    va_end(more);
    return request == SIOCOUTQ && fails(UNSENT) ? -1 : (int)syscall(SYS_ioctl, fd, request, out);
}

/* A timer's or event's counter is read and written whole; what else is written goes to a log. */
ssize_t read(int fd, void *bytes, size_t n)
{
    return !is_client(fd) && n == sizeof(uint64_t) && fails(READ) ? -1 : syscall(SYS_read, fd, bytes, n);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    bool hit = !is_client(fd) && is_hit(n == sizeof(uint64_t) ? WRITE : LOG);
    if (hit && fault.error != SHORT) {
        errno = fault.error;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, hit ? 1 : n);
}

int epoll_create1(int flags)
{
    return fails(EPOLL_NEW) ? -1 : (int)syscall(SYS_epoll_create1, flags);
}

int timerfd_create(int clock, int flags)
{
    return fails(TIMER_NEW) ? -1 : (int)syscall(SYS_timerfd_create, clock, flags);
}

int eventfd(unsigned int count, int flags)
{
    return fails(EVENT_NEW) ? -1 : (int)syscall(SYS_eventfd2, count, flags);
}

int socket(int family, int type, int protocol)
{
    return fails(SOCKET) ? -1 : (int)syscall(SYS_socket, family, type, protocol);
}

int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return fails(BIND) ? -1 : (int)syscall(SYS_bind, fd, address, size);
}

int listen(int fd, int backlog)
{
    return fails(LISTEN) ? -1 : (int)syscall(SYS_listen, fd, backlog);
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    return fails(CONNECT) ? -1 : (int)syscall(SYS_connect, fd, address, size);
}

/* Only what takes a number. */
int fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    int value = command == F_GETFL || command == F_GETFD ? 0 : va_arg(more, int);
    va_end(more);
    return !is_client(fd) && fails(FCNTL) ? -1 : (int)syscall(SYS_fcntl, fd, command, value);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    return !is_client(fd) && fails(GETSOCKOPT) ? -1 : (int)syscall(SYS_getsockopt, fd, level, option, value, size);
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
    return fails(POLL) ? -1 : (int)syscall(SYS_poll, fds, n, ms);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return fails(RECVMSG) ? -1 : syscall(SYS_recvmsg, fd, message, flags);
}

int fstat(int fd, struct stat *status)
{
    return fails(FSTAT) ? -1 : (int)syscall(SYS_fstat, fd, status);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return fails(MMAP) ? MAP_FAILED : (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

int lstat(const char *restrict path, struct stat *restrict status)
{
    return fails(LSTAT) ? -1 : (int)syscall(SYS_lstat, path, status);
}

int chmod(const char *path, mode_t mode)
{
    return fails(CHMOD) ? -1 : (int)syscall(SYS_chmod, path, mode);
}

int unlink(const char *path)
{
    return fails(UNLINK) ? -1 : (int)syscall(SYS_unlink, path);
}

/* --- what is tried --- */

typedef struct trial {
    enum call call;
    int errors[9];
} trial;

/* How many are open. */
static inline unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned n = 0;
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

#endif
