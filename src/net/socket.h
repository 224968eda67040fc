/* The socket calls of a connection, with errors in the core's terms. EINTR is retried here and nowhere else. */
#ifndef TRI_NET_SOCKET_H
#define TRI_NET_SOCKET_H

#include <stddef.h>
#include <sys/uio.h>

#include "base/error.h"
#include "net/addr.h"

/* Accepts one connection, non-blocking and close-on-exec, TCP_NODELAY set for TCP. Returns the descriptor; TRI_EAGAIN
   when none waits; TRI_ECLOSED when the one that waited has gone (try the next); TRI_EMFILE when descriptors or kernel
   memory are short (it still waits); TRI_ESYS. */
TRI_NODISCARD int tri_socket_accept(int listener, tri_addr *peer);
/* The local address of a connection; family NONE when the kernel will not say. */
void tri_socket_local(int fd, tri_addr *local);
/* Bytes read, n > 0; 0 when the peer ended its side; TRI_EAGAIN; TRI_ECLOSED when it was reset; TRI_ESYS. */
TRI_NODISCARD ptrdiff_t tri_socket_read(int fd, void *bytes, size_t n);
/* Bytes written, perhaps fewer than asked; n is 1 to 1024; TRI_EAGAIN; TRI_ECLOSED when the peer is gone; TRI_ESYS. No
   SIGPIPE. */
TRI_NODISCARD ptrdiff_t tri_socket_writev(int fd, const struct iovec *iov, int n);
/* Bytes that were written and that the peer has not acknowledged yet; 0 when the kernel will not say. */
uint32_t tri_socket_unsent(int fd);
/* Ends our side; the peer reads to the end of what was written. Errors do not matter here. */
void tri_socket_end(int fd);
/* Has the next tri_socket_close() throw away what the peer has not taken, with a reset, instead of keeping it for as
   long as the peer lives. */
void tri_socket_discard(int fd);
/* To be called before tri_socket_close(): what the peer does not take within `patience_ms` is dropped, instead of being
   kept for as long as the peer lives. */
void tri_socket_forsake(int fd, uint32_t patience_ms);
void tri_socket_close(int fd);

/* Sends a message of `n` bytes together with a descriptor by a channel (SOCK_SEQPACKET), without waiting; the
   descriptor stays open here. TRI_EAGAIN when the channel is full; TRI_ECLOSED when nobody can ever read it; TRI_ESYS.
 */
TRI_NODISCARD int tri_socket_give(int channel, const void *bytes, size_t n, int fd);
/* Reads the next message, of `n` bytes at most, and its descriptor, -1 if it has none; one that is longer or has
   several counts as an empty one without, and nothing of it stays open. Returns its length; TRI_EAGAIN when there is
   none; TRI_ECLOSED when there will never be one; TRI_EMFILE when there is no room for a descriptor: it waits;
   TRI_ESYS. */
TRI_NODISCARD ptrdiff_t tri_socket_take(int channel, void *bytes, size_t n, int *fd);

#endif
