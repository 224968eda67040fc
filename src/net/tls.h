/* TLS on a connection's descriptor, in the shape of net/socket.h. A context holds what the connections of a listener
   have in common; each connection keeps a reference, so that a context can be replaced at any time. */
#ifndef TRI_NET_TLS_H
#define TRI_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

enum { TRI_TLS_FAULT = 256 };

/* Protocols that a client may ask for by ALPN (RFC 7301). */
enum { TRI_TLS_HTTP1 = 1, TRI_TLS_HTTP2 = 2 };

typedef struct tri_tls_context tri_tls_context;
typedef struct tri_tls tri_tls;

/* Whether clients are asked for a certificate; the numbers are those of Python's ssl.VerifyMode. */
typedef enum tri_tls_clients { TRI_TLS_UNASKED, TRI_TLS_OPTIONAL, TRI_TLS_REQUIRED } tri_tls_clients;

/* A certificate and its key, by the paths of their files, PEM. */
typedef struct tri_tls_pair {
    const char *certificate; /* the server's own first, then those who signed it */
    const char *key;         /* NULL when the first file has it, too */
} tri_tls_pair;

enum {
    TRI_TLS_PAIRS = 1024, /* certificates of a context at most */
    TRI_TLS_SEED = 32,    /* bytes that session tickets' keys are derived from */
};

/* How long a certificate is good, in seconds from now: it is when the first is at most 0 and the second is not below.
 */
typedef struct tri_tls_validity {
    int64_t begins;
    int64_t ends;
} tri_tls_validity;

/* What a context is made of; all is read during the call only. What is 0 is as if it was not there. */
typedef struct tri_tls_options {
    const char
        *certificate; /* for clients that name no server, or one that no other certificate is for; as in a pair */
    const char *key;
    const tri_tls_pair *more; /* for the names in them (RFC 6066 §3); TRI_TLS_PAIRS at most, with the first */
    unsigned more_n;
    const char *password; /* of every key that is locked, NULL for none */
    unsigned protocols;   /* those to offer; HTTP/2 is preferred */
    int lowest;           /* version of TLS, as 0x0303; by default and at least that of TLS 1.2 */
    int highest;          /* by default the highest that OpenSSL speaks */
    const char *ciphers;  /* of TLS 1.2, as OpenSSL writes them; NULL for Mozilla's intermediate profile */
    const char *suites;   /* of TLS 1.3; NULL for OpenSSL's, which are all good */
    tri_tls_clients clients;
    bool tells_faults;          /* a client's certificate that is not good is the application's to judge */
    const char *authorities;    /* the path of those who sign clients' certificates, PEM */
    const char *const *revoked; /* paths of lists of certificates that were revoked, PEM */
    unsigned revoked_n;
    const unsigned char *seed; /* TRI_TLS_SEED bytes; NULL: no session is resumed */
    unsigned ticket_s;         /* seconds that a session can be resumed for, and after which keys change */
} tri_tls_options;

/* Whether this build speaks TLS; else no context can be made. */
bool tri_tls_is_built(void);
/* The version of the OpenSSL that is loaded; NULL when this build does not speak TLS. */
const char *tri_tls_version(void);
/* A context with one reference. TRI_ENOMEM; TRI_EINVAL, with what is wrong in `fault`, TRI_TLS_FAULT bytes. */
TRI_NODISCARD int tri_tls_context_new(tri_tls_context **out, const tri_mem *mem, const tri_tls_options *options,
                                      char *fault);
/* How many certificates a context has, and how long each is good; the server's own is the first. */
unsigned tri_tls_context_pairs(const tri_tls_context *context);
tri_tls_validity tri_tls_context_validity(const tri_tls_context *context, unsigned which);
/* A further reference. */
void tri_tls_context_ref(tri_tls_context *context);
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
