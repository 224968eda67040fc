/* What the files of TLS share: the layout of a context. */
#ifndef TRI_NET_TLS_CONTEXT_H
#define TRI_NET_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/span.h"
#include "net/tls.h"

struct tri_tls_context {
    const tri_mem *mem;
    SSL_CTX *ctx;
    BIO_METHOD *method; /* how OpenSSL reads and writes descriptors */
    unsigned refs;
};

/* The calls by which OpenSSL reads and writes, or NULL. The caller owns it. */
TRI_NODISCARD BIO_METHOD *tri_tls_bio_method(void);

#endif
