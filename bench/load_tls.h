/* TLS 1.3 for a load generator: calls in the manner of recv and send, on a socket that does not wait. */
#ifndef LOAD_TLS_H
#define LOAD_TLS_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <sys/types.h>

/* A new client on the descriptor, which stays the caller's; the handshake is done by the first calls of the others. */
SSL *tls_open(int fd);
/* As recv and send: -1 with EAGAIN when the socket must be waited for; SSL_want_read tells which way. */
ssize_t tls_read(SSL *tls, void *bytes, size_t n);
ssize_t tls_write(SSL *tls, const void *bytes, size_t n);

#endif
