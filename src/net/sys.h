/* The system calls of this layer, all in one place: a port to another kernel, or a test that makes one fail, starts
   here. Each returns what the call returns, with errno; calls that a signal interrupts are made again. */
#ifndef TRI_NET_SYS_H
#define TRI_NET_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "base/error.h"

/* Nanoseconds of `clock`; 0 if the machine does not have it. */
uint64_t tri_sys_clock_ns(clockid_t clock);

/* Each new descriptor is non-blocking and close-on-exec. */
TRI_NODISCARD int tri_sys_epoll_new(void);
TRI_NODISCARD int tri_sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
/* An interrupted wait without end goes on; a timed one ends with 0 events. */
TRI_NODISCARD int tri_sys_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms);
TRI_NODISCARD int tri_sys_timer_new(void);
/* Makes the timer readable at `deadline_ms` of CLOCK_MONOTONIC, which is not 0. */
TRI_NODISCARD int tri_sys_timer_set(int timer, uint64_t deadline_ms);
TRI_NODISCARD int tri_sys_event_new(void);
/* Makes the event readable; keeps errno, and is safe in a signal handler. */
void tri_sys_event_set(int event);
/* Makes a timer or event unreadable. */
void tri_sys_event_take(int fd);

/* Waits until an event is set, for so many milliseconds or, with -1, without end; takes it. May return early. */
void tri_sys_event_wait(int event, int timeout_ms);
/* Writes to descriptor 2, once, if it has room or gets some within `patience_ms`; at most so much as a pipe takes at
   once may be given. */
void tri_sys_complain(const char *text, size_t n, int patience_ms);
/* Ends the process; no exit handler runs. */
_Noreturn void tri_sys_exit(int code);
/* Has the kernel send this process `number` when the thread that made it ends. */
TRI_NODISCARD int tri_sys_die_with_parent(int number);
/* A timer of CLOCK_MONOTONIC that sends the process a signal; setting it, at a time in milliseconds, is safe in
 * handlers.
 */
TRI_NODISCARD int tri_sys_alarm_new(int number, timer_t *timer);
void tri_sys_alarm_set(timer_t timer, uint64_t at_ms);
void tri_sys_alarm_free(timer_t timer);
struct sigaction;
TRI_NODISCARD int tri_sys_sigaction(int number, const struct sigaction *action, struct sigaction *before);
/* The parent's process id, 0 when it is of another namespace. */
uint32_t tri_sys_parent(void);

TRI_NODISCARD int tri_sys_socket(int family);
TRI_NODISCARD int tri_sys_accept(int listener, struct sockaddr_storage *peer);
TRI_NODISCARD int tri_sys_bind(int fd, const struct sockaddr *address, socklen_t size);
TRI_NODISCARD int tri_sys_listen(int fd, int backlog);
TRI_NODISCARD int tri_sys_connect(int fd, const struct sockaddr *address, socklen_t size);
TRI_NODISCARD int tri_sys_getsockname(int fd, struct sockaddr_storage *address);
TRI_NODISCARD int tri_sys_option_get(int fd, int level, int option, int *value);
TRI_NODISCARD int tri_sys_option_set(int fd, int level, int option, int value);
/* Sets SO_LINGER so that closing resets the connection; errors do not matter. */
void tri_sys_linger_none(int fd);
TRI_NODISCARD ssize_t tri_sys_recv(int fd, void *bytes, size_t n);
/* Without SIGPIPE. */
TRI_NODISCARD ssize_t tri_sys_send(int fd, const struct iovec *iov, size_t n);
TRI_NODISCARD ssize_t tri_sys_write(int fd, const void *bytes, size_t n);
/* To a socket, without waiting even if it is a blocking one, and without SIGPIPE. */
TRI_NODISCARD ssize_t tri_sys_send_now(int fd, const void *bytes, size_t n);
/* Whether `fd` takes bytes, or fails, within `ms`: 1, 0 or -1. */
TRI_NODISCARD int tri_sys_wait_writable(int fd, int ms);
/* Neither waits; descriptors that come are close-on-exec. */
TRI_NODISCARD ssize_t tri_sys_sendmsg(int fd, const struct msghdr *message);
TRI_NODISCARD ssize_t tri_sys_recvmsg(int fd, struct msghdr *message);
/* Whether nobody can send to `fd` any more. */
int tri_sys_has_hung_up(int fd);
/* A copy of `fd`, close-on-exec. */
TRI_NODISCARD int tri_sys_dup(int fd);
TRI_NODISCARD int tri_sys_shutdown(int fd, int how);
int tri_sys_unsent(int fd, int *bytes);
/* Sets O_NONBLOCK and FD_CLOEXEC. */
TRI_NODISCARD int tri_sys_set_flags(int fd);
/* Never repeated: the descriptor is gone whatever close() says. Keeps errno. */
void tri_sys_close(int fd);

/* Of this process. */
uint32_t tri_sys_pid(void);
/* Bytes, or -1. */
TRI_NODISCARD off_t tri_sys_file_size(int fd);
/* Maps the first `size` bytes to be read and written together with other processes; NULL when that fails. */
TRI_NODISCARD void *tri_sys_map(int fd, size_t size);
void tri_sys_unmap(void *memory, size_t size);

TRI_NODISCARD int tri_sys_lstat(const char *path, struct stat *status);
TRI_NODISCARD int tri_sys_chmod(const char *path, mode_t mode);
TRI_NODISCARD int tri_sys_unlink(const char *path);
/* Binds as tri_sys_bind, so that the file made has no permissions but those of `mode`. */
TRI_NODISCARD int tri_sys_bind_masked(int fd, const struct sockaddr *address, socklen_t size, mode_t mode);

#endif
