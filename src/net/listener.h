/* Listening sockets. Errors leave errno set for the message that the user gets. */
#ifndef TRI_NET_LISTENER_H
#define TRI_NET_LISTENER_H

#include "base/error.h"
#include "net/addr.h"

enum { TRI_LISTENER_MAX = 16 };

/* Binds and listens on every address that `host` has, with one port for all; host NULL or "" is all IPv4 and IPv6 addresses.
   Port 0 takes any free port, the same for each. Writes up to TRI_LISTENER_MAX non-blocking descriptors, which the caller
   owns, and returns how many. TRI_EINVAL: the host has no address (errno is 0); TRI_ESYS: errno (EADDRINUSE, EACCES, EADDRNOTAVAIL, …). On failure none stays open. */
TRI_NODISCARD int tri_listener_tcp(const char *host, uint16_t port, int backlog, int fds[TRI_LISTENER_MAX]);
/* Binds a Unix socket with `mode` permissions (the mode of a file that was there is kept when `mode` is negative). A stale
   socket file, on which nobody listens, is replaced; a live one is EADDRINUSE, another kind of file EEXIST. Returns the descriptor or TRI_ESYS. */
TRI_NODISCARD int tri_listener_unix(const char *path, int mode, int backlog);
/* Takes over an inherited descriptor: it must be a stream socket; it is set non-blocking and close-on-exec, and listens. Returns 0, or TRI_ESYS
   (ENOTSOCK, EBADF, EINVAL for a datagram socket). */
TRI_NODISCARD int tri_listener_adopt(int fd, int backlog);
/* What it is bound to. */
void tri_listener_address(int fd, tri_addr *addr);

#endif
