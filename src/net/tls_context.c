/* What connections over TLS have in common: versions, ciphers, the certificate and its key. */
#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum { PATH = 128 }; /* bytes of a path that are told at most */

/* Mozilla's intermediate ciphers for TLS 1.2. */
static const char CIPHERS[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                              "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";

/* Those of TLS 1.3. We choose, among what are equals: the cheapest, but ChaCha20 for a client that has it first, as
   nothing in its processor makes AES cheap. */
static const char SUITES[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

bool tri_tls_is_built(void)
{
    return true;
}

const char *tri_tls_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}

/* The password of a key, and whether it was needed. */
typedef struct tri_password {
    const char *text; /* NULL for none */
    bool asked;
} tri_password;

/* Gives the key's password; without one the terminal is not asked. */
static int give_password(char *room, int size, int writing, void *user)
{
    tri_password *password = user;
    (void)writing;
    password->asked = true;
    size_t n = password->text == NULL ? 0 : strlen(password->text);
    if (password->text == NULL || size < 0 || n > (size_t)size)
        return -1;
    for (size_t i = 0; i < n; i++)
        room[i] = password->text[i]; /* its length tells where it ends */
    return (int)n;
}

/* Chooses the groups that keys are agreed on in: those of Mozilla's profile, before them the hybrid one where OpenSSL
   has it, and P-521, without which TLS 1.2 takes no client's certificate on that curve. OpenSSL's own list has finite
   fields of up to 8192 bits, too, in which a handshake costs us a hundred times as much at a client's wish
   (CVE-2022-40735). */
static bool choose_groups(SSL_CTX *ctx)
{
    static const char *const LISTS[] = {
        "X25519MLKEM768:X25519:P-256:P-384:P-521", "X25519:P-256:P-384:P-521",
        "P-256:P-384:P-521", /* what a system of approved methods alone has */
    };
    bool chosen = false;
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS && !chosen; i++)
        chosen = SSL_CTX_set1_groups_list(ctx, LISTS[i]) == 1;
    ERR_clear_error(); /* of lists with a group that is not there */
    return chosen;
}

/* Sets what does not depend on options. */
static bool set_up(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return choose_groups(ctx) && SSL_CTX_set_dh_auto(ctx, 1) == 1;
}

/* Sets versions and ciphers. */
static int choose(SSL_CTX *ctx, const tri_tls_options *options, char *fault)
{
    const char *ciphers = options->ciphers != NULL ? options->ciphers : CIPHERS;
    int lowest = options->lowest > TLS1_2_VERSION ? options->lowest : TLS1_2_VERSION;
    if (!SSL_CTX_set_min_proto_version(ctx, lowest) || !SSL_CTX_set_max_proto_version(ctx, options->highest)
        || (options->highest != 0 && options->highest < lowest))
        return tri_tls_context_blame(fault, "the version of TLS", "cannot be spoken");
    if (!SSL_CTX_set_cipher_list(ctx, ciphers))
        return tri_tls_context_blame(fault, ciphers, "names no cipher of TLS 1.2");
    const char *suites = options->suites != NULL ? options->suites : SUITES;
    if (!SSL_CTX_set_ciphersuites(ctx, suites))
        return tri_tls_context_blame(fault, suites, "names a cipher that TLS 1.3 does not have");
    return 0;
}

/* What OpenSSL's number means; errors of the system have texts of their own. */
static const char *reason_of(unsigned long number)
{
    const char *reason = ERR_SYSTEM_ERROR(number) ? strerror(ERR_GET_REASON(number)) : ERR_reason_error_string(number);
    return reason != NULL ? reason : "unknown error";
}

/* The end of a path that is long, so that there is room for what is wrong with it. */
static const char *tail_of(const char *path)
{
    size_t n = strlen(path);
    return n > PATH ? path + n - PATH : path;
}

int tri_tls_context_blame(char *fault, const char *path, const char *what)
{
    unsigned long number = ERR_peek_error();
    const char *tail = tail_of(path);
    (void)snprintf(fault, TRI_TLS_FAULT, "%s%s %s%s%s", tail == path ? "" : "...", tail, what, number == 0 ? "" : ": ",
                   number == 0 ? "" : reason_of(number));
    ERR_clear_error();
    return TRI_EINVAL;
}

/* Says why a key was not read: where it is locked, the password is missing or wrong. */
static int blame_key(char *fault, const char *path, const tri_password *password)
{
    if (ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH)
        return tri_tls_context_blame(fault, path, "is not the key of the certificate");
    if (!password->asked)
        return tri_tls_context_blame(fault, path, "holds no private key");
    const char *tail = tail_of(path);
    (void)snprintf(fault, TRI_TLS_FAULT, "%s%s is locked with %s", tail == path ? "" : "...", tail,
                   password->text == NULL ? "a password, and none was given" : "another password than the one given");
    ERR_clear_error();
    return TRI_EINVAL;
}

int tri_tls_context_load(SSL_CTX *ctx, const tri_tls_pair *pair, const char *password, char *fault)
{
    const char *key = pair->key != NULL ? pair->key : pair->certificate;
    tri_password given = { password, false };
    SSL_CTX_set_default_passwd_cb(ctx, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &given);
    int error = 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, pair->certificate) != 1)
        error = tri_tls_context_blame(fault, pair->certificate, "holds no certificate");
    else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        error = blame_key(fault, key, &given);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    return error;
}

/* Sets everything that options say. */
static int configure(tri_tls_context *context, const tri_tls_options *options, char *fault)
{
    const tri_tls_pair own = { options->certificate, options->key };
    tri_tls_alpn_offer(context, options->protocols);
    int error = choose(context->ctx, options, fault);
    if (error == 0)
        error = tri_tls_context_load(context->ctx, &own, options->password, fault);
    if (error == 0)
        error = tri_tls_sni_set(context, options, fault);
    if (error == 0)
        error = tri_tls_verify_set(context, options, fault);
    if (error == 0)
        error = tri_tls_tickets_set(context, options);
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
    if (error == 0)
        error = configure(context, options, fault);
    if (error != 0) {
        ERR_clear_error();
        tri_tls_context_unref(context);
        return error;
    }
    *out = context;
    return 0;
}

unsigned tri_tls_context_pairs(const tri_tls_context *context)
{
    return context->identities_n;
}

/* Seconds from now to a time; a time that cannot be read is long ago. */
static int64_t seconds_to(const ASN1_TIME *time)
{
    int days = 0, seconds = 0;
    if (!ASN1_TIME_diff(&days, &seconds, NULL, time))
        return INT64_MIN;
    return (int64_t)days * 86400 + seconds;
}

tri_tls_validity tri_tls_context_validity(const tri_tls_context *context, unsigned which)
{
    const X509 *certificate = context->identities[which].certificate;
    return (tri_tls_validity){ seconds_to(X509_get0_notBefore(certificate)),
                               seconds_to(X509_get0_notAfter(certificate)) };
}

void tri_tls_context_ref(tri_tls_context *context)
{
    context->refs++;
}

void tri_tls_context_unref(tri_tls_context *context)
{
    if (--context->refs > 0)
        return;
    tri_tls_sni_fini(context);
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->method);
    OPENSSL_cleanse(context->seed, sizeof context->seed);
    OPENSSL_cleanse(context->keys, sizeof context->keys);
    tri_mem_free(context->mem, context, sizeof *context);
}
