#define _GNU_SOURCE 1
#include "net/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Makes a call again for as long as signals interrupt it. */
#define AGAIN(result, call) \
    do {                    \
        result = (call);    \
    } while (result < 0 && errno == EINTR)

uint64_t tri_sys_clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int tri_sys_epoll_new(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

int tri_sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return epoll_ctl(epoll, operation, fd, event);
}

int tri_sys_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    int result;
    do {
        result = epoll_wait(epoll, events, max, timeout_ms);
    } while (result < 0 && errno == EINTR && timeout_ms < 0);
    return result < 0 && errno == EINTR ? 0 : result;
}

int tri_sys_timer_new(void)
{
    return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

int tri_sys_timer_set(int timer, uint64_t deadline_ms)
{
    struct itimerspec when = {
        .it_value = { .tv_sec = (time_t)(deadline_ms / 1000), .tv_nsec = (long)(deadline_ms % 1000) * 1000000 },
    };
    return timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

int tri_sys_event_new(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void tri_sys_event_set(int event)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t result;
    AGAIN(result, write(event, &one, sizeof one)); /* a full counter is readable already */
    errno = saved;
}

void tri_sys_event_take(int fd)
{
    uint64_t count;
    ssize_t result;
    AGAIN(result, read(fd, &count, sizeof count)); /* EAGAIN: it is unreadable already */
}

void tri_sys_event_wait(int event, int timeout_ms)
{
    struct pollfd wanted = { .fd = event, .events = POLLIN };
    if (poll(&wanted, 1, timeout_ms) > 0)
        tri_sys_event_take(event);
}

void tri_sys_complain(const char *text, size_t n, int patience_ms)
{
    struct pollfd wanted = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (n > 0 && poll(&wanted, 1, patience_ms) > 0 && (wanted.revents & POLLOUT))
        (void)!write(STDERR_FILENO, text, n);
}

void tri_sys_exit(int code)
{
    _exit(code);
}

int tri_sys_die_with_parent(int number)
{
    return prctl(PR_SET_PDEATHSIG, (unsigned long)number);
}

int tri_sys_alarm_new(int number, timer_t *timer)
{
    struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = number };
    return timer_create(CLOCK_MONOTONIC, &how, timer);
}

void tri_sys_alarm_set(timer_t timer, uint64_t at_ms)
{
    struct itimerspec when = {
        .it_value = { .tv_sec = (time_t)(at_ms / 1000), .tv_nsec = (long)(at_ms % 1000) * 1000000 },
    };
    (void)timer_settime(timer, TIMER_ABSTIME, &when, NULL);
}

void tri_sys_alarm_free(timer_t timer)
{
    (void)timer_delete(timer);
}

int tri_sys_sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
    return sigaction(number, action, before);
}

uint32_t tri_sys_parent(void)
{
    return (uint32_t)getppid();
}

int tri_sys_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int tri_sys_accept(int listener, struct sockaddr_storage *peer)
{
    int result;
    do {
        socklen_t size = sizeof *peer;
        peer->ss_family = AF_UNSPEC;
        result = accept4(listener, (struct sockaddr *)peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (result < 0 && errno == EINTR);
    return result;
}

int tri_sys_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return bind(fd, address, size);
}

int tri_sys_listen(int fd, int backlog)
{
    return listen(fd, backlog);
}

int tri_sys_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    int result;
    AGAIN(result, connect(fd, address, size));
    return result;
}

int tri_sys_getsockname(int fd, struct sockaddr_storage *address)
{
    socklen_t size = sizeof *address;
    address->ss_family = AF_UNSPEC;
    return getsockname(fd, (struct sockaddr *)address, &size);
}

int tri_sys_option_get(int fd, int level, int option, int *value)
{
    socklen_t size = sizeof *value;
    *value = 0;
    return getsockopt(fd, level, option, value, &size);
}

int tri_sys_option_set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

void tri_sys_linger_none(int fd)
{
    struct linger none = { .l_onoff = 1 };
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

ssize_t tri_sys_recv(int fd, void *bytes, size_t n)
{
    ssize_t result;
    AGAIN(result, recv(fd, bytes, n, 0));
    return result;
}

ssize_t tri_sys_send(int fd, const struct iovec *iov, size_t n)
{
    ssize_t result;
    if (n == 1) {
        AGAIN(result, send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL));
        return result;
    }
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
    AGAIN(result, sendmsg(fd, &message, MSG_NOSIGNAL));
    return result;
}

ssize_t tri_sys_write(int fd, const void *bytes, size_t n)
{
    ssize_t result;
    AGAIN(result, write(fd, bytes, n));
    return result;
}

ssize_t tri_sys_send_now(int fd, const void *bytes, size_t n)
{
    ssize_t result;
    AGAIN(result, send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL));
    return result;
}

int tri_sys_wait_writable(int fd, int ms)
{
    struct pollfd one = { .fd = fd, .events = POLLOUT };
    return poll(&one, 1, ms);
}

ssize_t tri_sys_sendmsg(int fd, const struct msghdr *message)
{
    ssize_t result;
    AGAIN(result, sendmsg(fd, message, MSG_NOSIGNAL | MSG_DONTWAIT));
    return result;
}

ssize_t tri_sys_recvmsg(int fd, struct msghdr *message)
{
    ssize_t result;
    AGAIN(result, recvmsg(fd, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    return result;
}

int tri_sys_has_hung_up(int fd)
{
    struct pollfd wanted = { .fd = fd };
    return poll(&wanted, 1, 0) > 0 && (wanted.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

int tri_sys_dup(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int tri_sys_shutdown(int fd, int how)
{
    return shutdown(fd, how);
}

int tri_sys_unsent(int fd, int *bytes)
{
    return ioctl(fd, SIOCOUTQ, bytes);
}

int tri_sys_set_flags(int fd)
{
    int status = fcntl(fd, F_GETFL);
    if (status < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0)
        return -1;
    int flags = fcntl(fd, F_GETFD);
    return flags < 0 ? -1 : fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

void tri_sys_close(int fd)
{
    int saved = errno;
    (void)close(fd);
    errno = saved;
}

uint32_t tri_sys_pid(void)
{
    return (uint32_t)getpid();
}

off_t tri_sys_file_size(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_size : -1;
}

void *tri_sys_map(int fd, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void tri_sys_unmap(void *memory, size_t size)
{
    (void)munmap(memory, size);
}

int tri_sys_lstat(const char *path, struct stat *status)
{
    return lstat(path, status);
}

int tri_sys_chmod(const char *path, mode_t mode)
{
    return chmod(path, mode);
}

int tri_sys_unlink(const char *path)
{
    return unlink(path);
}

int tri_sys_bind_masked(int fd, const struct sockaddr *address, socklen_t size, mode_t mode)
{
    mode_t mask = umask(~mode & 0777);
    int result = bind(fd, address, size);
    int saved = errno;
    (void)umask(mask);
    errno = saved;
    return result;
}
