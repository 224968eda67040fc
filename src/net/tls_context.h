/* What the files of TLS share: the layout of a context. */
#ifndef TRI_NET_TLS_CONTEXT_H
#define TRI_NET_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/span.h"
#include "net/tls.h"
#include "net/tls_facts.h"

enum { TRI_TLS_ALPN = 32 };

struct tri_tls_context {
    const tri_mem *mem;
    SSL_CTX *ctx;
    BIO_METHOD *method; /* how OpenSSL reads and writes descriptors */
    unsigned refs;
    unsigned alpn_n;
    unsigned char alpn[TRI_TLS_ALPN]; /* the names of the protocols, as RFC 7301 §3.1 has them */
};

/* The facts of a connection whose handshake is complete; see net/tls_facts.h. TRI_ENOMEM. */
TRI_NODISCARD int tri_tls_facts_new(tri_tls_facts **out, const tri_mem *mem, SSL *ssl);
/* The calls by which OpenSSL reads and writes, or NULL. The caller owns it. */
TRI_NODISCARD BIO_METHOD *tri_tls_bio_method(void);
/* tls_alpn.c: has connections agree with their clients on one of these protocols. */
void tri_tls_alpn_offer(tri_tls_context *context, unsigned protocols);
/* The protocol of a name, 0 for any that we do not speak. */
unsigned tri_tls_alpn_number(const unsigned char *name, size_t n);

#endif
