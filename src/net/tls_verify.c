/* Certificates of clients: who has signed them, which were revoked, and what becomes of one that is not good. */
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "net/tls_context.h"

enum {
    DEPTH = 8, /* certificates between a client's and the one that is trusted */
    NAMES =
        100, /* signers that clients are told of; a file with more is all the world's, which helps nobody to choose */
};

/* Lets the handshake go on; OpenSSL keeps what is wrong as the result of the verification. */
static int pass(int good, X509_STORE_CTX *store)
{
    (void)good;
    (void)store;
    return 1;
}

/* Tells clients whose certificates are taken, so that a browser offers the right one. */
static int announce(SSL_CTX *ctx, const char *path, char *fault)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (names == NULL)
        return tri_tls_context_blame(fault, path, "holds no certificate");
    if (sk_X509_NAME_num(names) > NAMES)
        sk_X509_NAME_pop_free(names, X509_NAME_free);
    else
        SSL_CTX_set_client_CA_list(ctx, names); /* owns it */
    return 0;
}

/* Has certificates refused that one of these lists names. Each signer in a chain must have one then. */
static int revoke(X509_STORE *store, const tri_tls_options *options, char *fault)
{
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file()); /* the store owns it */
    if (lookup == NULL || !X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL))
        return TRI_ENOMEM;
    for (unsigned i = 0; i < options->revoked_n; i++) {
        if (X509_load_crl_file(lookup, options->revoked[i], X509_FILETYPE_PEM) <= 0)
            return tri_tls_context_blame(fault, options->revoked[i], "holds no list of revoked certificates");
    }
    return 0;
}

bool tri_tls_verify_again(SSL *ssl, SSL_SESSION *session)
{
    X509 *certificate = SSL_SESSION_get0_peer(session);
    if (certificate == NULL)
        return true;
    X509_STORE *store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
    X509_STORE_CTX *verification = X509_STORE_CTX_new();
    bool good = verification != NULL && X509_STORE_CTX_init(verification, store, certificate, NULL)
                && X509_STORE_CTX_set_default(verification, "ssl_client")
                && X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(verification), SSL_get0_param(ssl))
                && X509_verify_cert(verification) == 1;
    X509_STORE_CTX_free(verification);
    ERR_clear_error();
    return good;
}

int tri_tls_verify_set(tri_tls_context *context, const tri_tls_options *options, char *fault)
{
    SSL_CTX *ctx = context->ctx;
    /* Sessions that were begun under another rule are not resumed (SSL_CTX_set_session_id_context(3)). */
    const unsigned char rule[] = {
        't', 'r', 'i', 'c', 'o', 'r', 'n', (unsigned char)options->clients, options->tells_faults
    };
    if (!SSL_CTX_set_session_id_context(ctx, rule, sizeof rule))
        return TRI_ENOMEM;
    int error = 0;
    if (options->authorities != NULL && SSL_CTX_load_verify_file(ctx, options->authorities) != 1)
        error = tri_tls_context_blame(fault, options->authorities, "holds no certificate");
    if (error == 0 && options->authorities != NULL && options->clients != TRI_TLS_UNASKED)
        error = announce(ctx, options->authorities, fault);
    if (error == 0 && options->revoked_n > 0)
        error = revoke(SSL_CTX_get_cert_store(ctx), options, fault);
    if (error != 0 || options->clients == TRI_TLS_UNASKED)
        return error;
    int mode = SSL_VERIFY_PEER | (options->clients == TRI_TLS_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(ctx, mode, options->tells_faults ? pass : NULL);
    SSL_CTX_set_verify_depth(ctx, DEPTH);
    return 0;
}
