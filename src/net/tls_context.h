/* What the files of TLS share: the layout of a context. */
#ifndef TRI_NET_TLS_CONTEXT_H
#define TRI_NET_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/span.h"
#include "net/tls.h"
#include "net/tls_facts.h"

enum { TRI_TLS_ALPN = 32 };

/* A certificate that is chosen by a client's word. */
typedef struct tri_tls_identity {
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
} tri_tls_identity;

/* A name of a certificate, in lower case; the first label may be `*`. */
typedef struct tri_tls_name {
    char *text;
    unsigned n;
    unsigned which; /* identity */
} tri_tls_name;

/* The keys of a period's session tickets. */
typedef struct tri_tls_ticket_key {
    unsigned char name[16];
    unsigned char cipher[32];
    unsigned char mac[32];
} tri_tls_ticket_key;

struct tri_tls_context {
    const tri_mem *mem;
    SSL_CTX *ctx;
    BIO_METHOD *method; /* how OpenSSL reads and writes descriptors */
    unsigned refs;
    tri_tls_identity *identities; /* the server's own first */
    unsigned identities_n, identities_room;
    tri_tls_name *names; /* of all identities, sorted */
    unsigned names_n, names_room;
    unsigned char seed[TRI_TLS_SEED];
    unsigned ticket_s;
    int64_t period;             /* the first key's; -1 before there was one */
    tri_tls_ticket_key keys[2]; /* of this period and the one before it */
    unsigned alpn_n;
    unsigned char alpn[TRI_TLS_ALPN]; /* the names of the protocols, as RFC 7301 §3.1 has them */
};

/* The facts of a connection whose handshake is complete; see net/tls_facts.h. TRI_ENOMEM. */
TRI_NODISCARD int tri_tls_facts_new(tri_tls_facts **out, const tri_mem *mem, SSL *ssl);
/* The calls by which OpenSSL reads and writes, or NULL. The caller owns it. */
TRI_NODISCARD BIO_METHOD *tri_tls_bio_method(void);
/* Says that `what` is wrong with the file at `path`, with OpenSSL's first word on it; returns TRI_EINVAL. */
TRI_NODISCARD int tri_tls_context_blame(char *fault, const char *path, const char *what);

/* Reads a certificate and its key into `ctx`. TRI_EINVAL with a fault. */
TRI_NODISCARD int tri_tls_context_load(SSL_CTX *ctx, const tri_tls_pair *pair, const char *password, char *fault);

/* tls_sni.c: has the certificate chosen by the name that a client gives; the context has its own already. TRI_ENOMEM;
   TRI_EINVAL with a fault. */
TRI_NODISCARD int tri_tls_sni_set(tri_tls_context *context, const tri_tls_options *options, char *fault);
void tri_tls_sni_fini(tri_tls_context *context);

/* tls_tickets.c: has sessions resumed, if the options say so. TRI_ENOMEM. */
TRI_NODISCARD int tri_tls_tickets_set(tri_tls_context *context, const tri_tls_options *options);

/* tls_verify.c: whether the client's certificate in a session is as good as when it began, or there is none. */
bool tri_tls_verify_again(SSL *ssl, SSL_SESSION *session);
/* Has clients asked for certificates, and these verified. TRI_ENOMEM; TRI_EINVAL with a fault. */
TRI_NODISCARD int tri_tls_verify_set(tri_tls_context *context, const tri_tls_options *options, char *fault);

/* tls_alpn.c: has connections agree with their clients on one of these protocols. */
void tri_tls_alpn_offer(tri_tls_context *context, unsigned protocols);
/* The protocol of a name, 0 for any that we do not speak. */
unsigned tri_tls_alpn_number(const unsigned char *name, size_t n);

#endif
