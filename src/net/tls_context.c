/* What connections over TLS have in common: versions, ciphers, the certificate and its key. */
#include "net/tls_context.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* Mozilla's intermediate ciphers for TLS 1.2; those of TLS 1.3 are all good. */
static const char CIPHERS[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                              "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";

bool tri_tls_is_built(void)
{
    return true;
}

const char *tri_tls_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}

/* Gives the key's password; without one the terminal is not asked. */
static int give_password(char *room, int size, int writing, void *user)
{
    const char *password = user;
    (void)writing;
    size_t n = password == NULL ? 0 : strlen(password);
    if (password == NULL || size < 0 || n > (size_t)size)
        return -1;
    for (size_t i = 0; i < n; i++)
        room[i] = password[i]; /* its length tells where it ends */
    return (int)n;
}

/* Those of TLS 1.3. We choose, among what are equals: the cheapest, but ChaCha20 for a client that has it first, as
   nothing in its processor makes AES cheap. */
static const char SUITES[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

/* Sets what does not depend on options. */
static bool set_up(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) && SSL_CTX_set_cipher_list(ctx, CIPHERS)
           && SSL_CTX_set_ciphersuites(ctx, SUITES) && SSL_CTX_set_dh_auto(ctx, 1)
           && SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"tricorn", sizeof "tricorn" - 1);
}

/* Says that `what` is wrong with a file, with OpenSSL's first word on it. */
static int blame(char *fault, const char *path, const char *what)
{
    unsigned long number = ERR_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(number) ? strerror(ERR_GET_REASON(number)) : ERR_reason_error_string(number);
    (void)snprintf(fault, TRI_TLS_FAULT, "%s %s: %s", path, what, reason != NULL ? reason : "unknown error");
    ERR_clear_error();
    return TRI_EINVAL;
}

/* Loads the certificate and its key. */
static int load(SSL_CTX *ctx, const tri_tls_options *options, char *fault)
{
    const char *key = options->key != NULL ? options->key : options->certificate;
    SSL_CTX_set_default_passwd_cb(ctx, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, (void *)(uintptr_t)options->password);
    int error = 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, options->certificate) != 1)
        error = blame(fault, options->certificate, "holds no certificate");
    else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        error = blame(fault, key, "holds no private key for the certificate");
    else if (SSL_CTX_check_private_key(ctx) != 1)
        error = blame(fault, key, "is not the key of the certificate");
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    return error;
}

int tri_tls_context_new(tri_tls_context **out, const tri_mem *mem, const tri_tls_options *options, char *fault)
{
    tri_tls_context *context = tri_mem_zalloc(mem, sizeof *context);
    if (context == NULL)
        return TRI_ENOMEM;
    context->mem = mem;
    context->refs = 1;
    ERR_clear_error();
    context->ctx = SSL_CTX_new(TLS_server_method());
    context->method = tri_tls_bio_method();
    int error = context->ctx == NULL || context->method == NULL || !set_up(context->ctx) ? TRI_ENOMEM : 0;
    if (error == 0) {
        tri_tls_alpn_offer(context, options->protocols);
        error = load(context->ctx, options, fault);
    }
    if (error != 0) {
        ERR_clear_error();
        tri_tls_context_unref(context);
        return error;
    }
    *out = context;
    return 0;
}

void tri_tls_context_unref(tri_tls_context *context)
{
    if (--context->refs > 0)
        return;
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->method);
    tri_mem_free(context->mem, context, sizeof *context);
}
