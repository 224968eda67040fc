/* Both ends of TLS in one process: the core's on one side of a pair of sockets, OpenSSL's client on the other. */
#ifndef TRI_TESTS_TLS_PEER_H
#define TRI_TESTS_TLS_PEER_H

#include "check.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "net/tls.h"
#include "net/tls_context.h"

/* A certificate and its key. */
typedef struct identity {
    X509 *certificate;
    EVP_PKEY *key;
} identity;

/* Ends the program unless what the test itself needs has succeeded. */
static inline void needed(bool succeeded)
{
    if (succeeded)
        return;
    ERR_print_errors_fp(stderr);
    abort();
}

/* Makes a certificate for `name`, which is given back, signed by `signer`, or by itself. */
static inline identity identity_of(X509_NAME *name, const identity *signer)
{
    static long serial;
    identity made = { X509_new(), EVP_EC_gen("P-256") };
    needed(made.certificate != NULL && made.key != NULL && name != NULL);
    X509_NAME *issuer = signer == NULL ? name : X509_get_subject_name(signer->certificate);
    needed(X509_set_version(made.certificate, 2) && ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial)
           && X509_gmtime_adj(X509_getm_notBefore(made.certificate), -60) != NULL
           && X509_gmtime_adj(X509_getm_notAfter(made.certificate), 3600) != NULL
           && X509_set_subject_name(made.certificate, name) && X509_set_issuer_name(made.certificate, issuer)
           && X509_set_pubkey(made.certificate, made.key)
           && X509_sign(made.certificate, signer == NULL ? made.key : signer->key, EVP_sha256()) > 0);
    X509_NAME_free(name);
    return made;
}

/* A name of one part. */
static inline X509_NAME *common_name(const char *text)
{
    X509_NAME *name = X509_NAME_new();
    needed(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0));
    return name;
}

static inline void identity_free(identity *self)
{
    X509_free(self->certificate);
    EVP_PKEY_free(self->key);
}

/* A context of the core's with the certificate of `self`, which is read from a file without a name; by ALPN it speaks
   `protocols`. */
static inline tri_tls_context *context_speaking(const identity *self, const tri_mem *mem, unsigned protocols)
{
    char path[64], why[TRI_TLS_FAULT] = "";
    int fd = memfd_create("identity", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    BIO *file = BIO_new_file(path, "w");
    needed(file != NULL && PEM_write_bio_X509(file, self->certificate)
           && PEM_write_bio_PrivateKey(file, self->key, NULL, NULL, 0, NULL, NULL));
    BIO_free(file);
    const tri_tls_options options = { .certificate = path, .protocols = protocols };
    tri_tls_context *context = NULL;
    int error = tri_tls_context_new(&context, mem, &options, why);
    if (error != 0)
        fprintf(stderr, "%s\n", why);
    CHECK(error == 0);
    close(fd);
    return context;
}

static inline tri_tls_context *context_of(const identity *self, const tri_mem *mem)
{
    return context_speaking(self, mem, TRI_TLS_HTTP1);
}

/* A connection whose two ends are in our hands. */
typedef struct pair {
    tri_tls *tls; /* the core's */
    SSL *client;
    int fds[2]; /* the core's end, the client's */
} pair;

/* Two connected sockets that do not block, whose kernel buffers are made small if `buffer` is not 0. */
static inline void sockets_open(int fds[2], int buffer)
{
    needed(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    for (int i = 0; i < 2 && buffer > 0; i++) {
        needed(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer) == 0);
        needed(setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer) == 0);
    }
}

/* Opens both ends; no byte has gone between them yet. */
static inline void pair_open_small(pair *self, tri_tls_context *context, SSL_CTX *peers, int buffer)
{
    sockets_open(self->fds, buffer);
    self->tls = NULL;
    CHECK(tri_tls_new(&self->tls, context, self->fds[0]) == 0);
    self->client = SSL_new(peers);
    needed(self->client != NULL && SSL_set_fd(self->client, self->fds[1]));
    SSL_set_connect_state(self->client);
}

static inline void pair_open(pair *self, tri_tls_context *context, SSL_CTX *peers)
{
    pair_open_small(self, context, peers, 0);
}

static inline void pair_close(pair *self)
{
    if (self->tls != NULL)
        tri_tls_free(self->tls);
    SSL_free(self->client);
    close(self->fds[0]);
    if (self->fds[1] >= 0)
        close(self->fds[1]);
    ERR_clear_error();
}

/* Lets both ends go on until neither can; what the core's says of its handshake, which is TRI_EAGAIN while the client
   has stopped before its end. */
static inline int pair_shake(pair *self)
{
    int error = TRI_EAGAIN;
    for (int i = 0; i < 20 && (error == TRI_EAGAIN || !SSL_is_init_finished(self->client)); i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(self->client);
        if (error == TRI_EAGAIN)
            error = tri_tls_handshake(self->tls);
    }
    return error;
}

/* What the client reads next: a count, or the negative of OpenSSL's kind of error. */
static inline int client_reads(SSL *peer, void *bytes, int n)
{
    ERR_clear_error();
    int got = SSL_read(peer, bytes, n);
    return got > 0 ? got : -SSL_get_error(peer, got);
}

/* A client's side that believes any certificate. */
static inline SSL_CTX *client_context(void)
{
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    needed(made != NULL);
    return made;
}

#endif
