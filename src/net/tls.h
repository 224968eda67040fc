/* TLS on a connection's descriptor, in the shape of net/socket.h. A context holds what the connections of a listener
   have in common; each connection keeps a reference, so that a context can be replaced at any time. */
#ifndef TRI_NET_TLS_H
#define TRI_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

enum { TRI_TLS_FAULT = 256 };

/* Protocols that a client may ask for by ALPN (RFC 7301). */
enum { TRI_TLS_HTTP1 = 1, TRI_TLS_HTTP2 = 2 };

typedef struct tri_tls_context tri_tls_context;
typedef struct tri_tls tri_tls;

/* What a context is made of; all is read during the call only. */
typedef struct tri_tls_options {
    const char *certificate; /* the path of the chain, PEM, the server's own first */
    const char *key;         /* the path of the private key; NULL when the first file has it, too */
    const char *password;    /* of the key, NULL for none */
    unsigned protocols;      /* those to offer; HTTP/2 is preferred */
} tri_tls_options;

/* Whether this build speaks TLS; else no context can be made. */
bool tri_tls_is_built(void);
/* The version of the OpenSSL that is loaded; NULL when this build does not speak TLS. */
const char *tri_tls_version(void);
/* A context with one reference. TRI_ENOMEM; TRI_EINVAL, with what is wrong in `fault`, TRI_TLS_FAULT bytes. */
TRI_NODISCARD int tri_tls_context_new(tri_tls_context **out, const tri_mem *mem, const tri_tls_options *options,
                                      char *fault);
/* Gives a reference back. */
void tri_tls_context_unref(tri_tls_context *context);

/* The server's side of a connection, which refers to the context; the descriptor stays the caller's. TRI_ENOMEM. */
TRI_NODISCARD int tri_tls_new(tri_tls **out, tri_tls_context *context, int fd);
void tri_tls_free(tri_tls *tls);
/* Has `bytes`, which were read from the descriptor already, come first; before the handshake. TRI_ENOMEM, TRI_ELIMIT.
 */
TRI_NODISCARD int tri_tls_feed(tri_tls *tls, tri_span bytes);
/* Whether the handshake has not ended: then nothing else can be done with it. */
bool tri_tls_is_shaking(const tri_tls *tls);
/* Goes on with the handshake: 0 when it is complete; TRI_EAGAIN; TRI_ECLOSED when the peer is gone; TRI_EPROTO when it
   failed, and the peer was told why; TRI_EINVAL when the peer speaks plain HTTP: the descriptor can be written to
   without TLS; TRI_ENOMEM; TRI_ESYS. */
TRI_NODISCARD int tri_tls_handshake(tri_tls *tls);
/* What the peer did wrong, behind TRI_EPROTO; else NULL. Static storage. */
const char *tri_tls_fault(const tri_tls *tls);
/* The protocol that was agreed on by ALPN, of a connection whose handshake is complete; 0 when the client named none.
 */
unsigned tri_tls_protocol(const tri_tls *tls);
/* Whether the handshake, or the last read, waits for the descriptor to become writable. */
bool tri_tls_wants_write(const tri_tls *tls);
/* Whether a read has something to tell although the descriptor may not be readable. */
bool tri_tls_has_pending(const tri_tls *tls);
/* Bytes read, n > 0; 0 when the peer ended its side; TRI_EAGAIN; TRI_ECLOSED; TRI_EPROTO; TRI_ENOMEM; TRI_ESYS.
   Fewer than `n` only when no more has come. That a peer ends its side without saying so by TLS counts as the same:
   most do, and HTTP shows by itself whether a request or a message was cut (RFC 9112 §9.8). */
TRI_NODISCARD ptrdiff_t tri_tls_read(tri_tls *tls, void *bytes, size_t n);
/* Bytes taken, perhaps fewer than asked; the next call must begin with those that were not, and offer as many or more.
   TRI_EAGAIN; TRI_ECLOSED; TRI_EPROTO; TRI_ENOMEM; TRI_ESYS. */
TRI_NODISCARD ptrdiff_t tri_tls_writev(tri_tls *tls, const struct iovec *iov, int n);
/* Tells the peer that nothing more comes, once, when all was written: 0, or TRI_EAGAIN when that waits for room. Other
   errors do not matter here. */
TRI_NODISCARD int tri_tls_end(tri_tls *tls);

#endif
