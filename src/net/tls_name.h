/* Distinguished names as text (RFC 4514). */
#ifndef TRI_NET_TLS_NAME_H
#define TRI_NET_TLS_NAME_H

#include <openssl/x509.h>

#include "base/error.h"

/* Writes the name, UTF-8, its last part first; a part whose type has no registered short name as numbers. Returns 1, or
   0 when memory is short, as OpenSSL's own. */
TRI_NODISCARD int tri_tls_name_put(BIO *bio, const X509_NAME *name);

#endif
