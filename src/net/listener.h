/* Listening sockets. Errors leave errno set for the message that the user gets. */
#ifndef TRI_NET_LISTENER_H
#define TRI_NET_LISTENER_H

#include "base/error.h"
#include "net/addr.h"

enum { TRI_LISTENER_MAX = 16 };

/* Of what an accepted connection is given, the kernel takes no more than so many bytes that it may not send yet, so
   that a slow reader does not fill its memory. */
enum { TRI_LISTENER_UNSENT = 262144 };

/* Binds and listens on every address that `host` has, with one port for all; host NULL or "" is all IPv4 and IPv6
   addresses. Port 0 takes any free port, the same for each. Writes up to TRI_LISTENER_MAX non-blocking descriptors,
   which the caller owns, and returns how many. An address that this machine does not have is passed over if another one
   works. TRI_EINVAL: the host has no address (errno is 0); TRI_ENOMEM; TRI_EMFILE; TRI_ESYS: errno (EADDRINUSE, EACCES,
   EADDRNOTAVAIL, …). On failure none stays open. */
TRI_NODISCARD int tri_listener_tcp(const char *host, uint16_t port, int backlog, int fds[TRI_LISTENER_MAX]);
/* The same, and further sockets of this user may be bound to the same addresses (SO_REUSEPORT): the kernel then spreads
   new connections over them. */
TRI_NODISCARD int tri_listener_tcp_shared(const char *host, uint16_t port, int backlog, int fds[TRI_LISTENER_MAX]);
/* Binds a Unix socket with `mode` permissions (when `mode` is negative: those of the file that was there, or else what
   the umask leaves). A stale socket file, on which nobody listens, is replaced; a live one is EADDRINUSE, another kind
   of file EEXIST. Sets the process's umask for a moment. Returns the descriptor, which the caller owns; removing the
   file is the caller's too. TRI_EMFILE, or TRI_ESYS: errno (also ENAMETOOLONG, EINVAL for an empty path, ENOENT for a
   folder that is missing, …). */
TRI_NODISCARD int tri_listener_unix(const char *path, int mode, int backlog);
/* Takes over an inherited descriptor: it must be a stream socket; it is set non-blocking and close-on-exec, and
   listens. Returns 0, or TRI_ESYS (ENOTSOCK, EBADF, EINVAL for a datagram or a connected socket); it stays the
   caller's. */
TRI_NODISCARD int tri_listener_adopt(int fd, int backlog);
/* What it is bound to; family NONE when the kernel will not say. */
void tri_listener_address(int fd, tri_addr *addr);

#endif
