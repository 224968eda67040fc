/* Session tickets (RFC 5077, RFC 8446 §4.6.1): what a session needs to be resumed is kept by the client, sealed. The
   keys come of a seed and the time, so that all processes with the same seed have the same, and none needs to be told.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <string.h>

#include "net/clock.h"
#include "net/tls_context.h"

static const char LABEL[] = "tricorn session tickets";

/* Derives the keys of a period from the seed (HKDF, RFC 5869). */
static bool derive(const tri_tls_context *context, int64_t period, tri_tls_ticket_key *out)
{
    unsigned char info[sizeof LABEL + 8], digest[] = "SHA256";
    memcpy(info, LABEL, sizeof LABEL);
    for (unsigned i = 0; i < 8; i++)
        info[sizeof LABEL + i] = (unsigned char)((uint64_t)period >> (56 - 8 * i));
    unsigned char seed[TRI_TLS_SEED], room[sizeof *out];
    memcpy(seed, context->seed, sizeof seed);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, seed, sizeof seed),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof info),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *work = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    bool derived = work != NULL && EVP_KDF_derive(work, room, sizeof room, params) == 1;
    if (derived)
        memcpy(out, room, sizeof room);
    EVP_KDF_CTX_free(work);
    EVP_KDF_free(kdf);
    OPENSSL_cleanse(seed, sizeof seed);
    OPENSSL_cleanse(room, sizeof room);
    return derived;
}

/* Has the keys of now, and those of before. */
static bool renew(tri_tls_context *context)
{
    int64_t period = tri_clock_wall() / context->ticket_s;
    if (period == context->period)
        return true;
    context->period = -1;
    if (!derive(context, period, &context->keys[0]) || !derive(context, period - 1, &context->keys[1]))
        return false;
    context->period = period;
    return true;
}

/* Prepares what authenticates a ticket. */
static bool authenticate(EVP_MAC_CTX *mac, tri_tls_ticket_key *key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* Prepares to seal a new ticket. */
static bool seal(tri_tls_ticket_key *key, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher)
{
    memcpy(name, key->name, sizeof key->name);
    return RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1
           && EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key->cipher, iv, NULL) == 1;
}

/* Which of our keys has this name; -1 for none. */
static int find(const tri_tls_context *context, const unsigned char *name)
{
    for (int i = 0; i < 2; i++) {
        if (CRYPTO_memcmp(context->keys[i].name, name, sizeof context->keys[i].name) == 0)
            return i;
    }
    return -1;
}

/* Finds the key of a ticket: 1; 2 for one that is to be renewed; 0 for none, so that a session begins afresh. */
static int on_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals)
{
    tri_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (!renew(context))
        return 0;
    if (seals)
        return seal(&context->keys[0], name, iv, cipher) && authenticate(mac, &context->keys[0]) ? 1 : -1;
    int which = find(context, name);
    if (which < 0)
        return 0;
    tri_tls_ticket_key *key = &context->keys[which];
    if (EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key->cipher, iv, NULL) != 1 || !authenticate(mac, key))
        return -1;
    return 1 + which;
}

/* Marks the session of a client that has sent more than its own certificate: a ticket holds that one alone, so that a
   resumed session would tell the application of less. */
static int on_ticket(SSL *ssl, void *user)
{
    (void)user;
    if (sk_X509_num(SSL_get_peer_cert_chain(ssl)) <= 0)
        return 1;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), "chain", 5);
}

/* Whether a session is marked so. */
static bool is_marked(SSL_SESSION *session)
{
    void *mark = NULL;
    size_t n = 0;
    return SSL_SESSION_get0_ticket_appdata(session, &mark, &n) == 1 && n > 0;
}

/* Says whether a session that was opened is resumed. */
static SSL_TICKET_RETURN on_session(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_n,
                                    SSL_TICKET_STATUS status, void *user)
{
    (void)name;
    (void)name_n;
    (void)user;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (is_marked(session) || !tri_tls_verify_again(ssl, session))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

int tri_tls_tickets_set(tri_tls_context *context, const tri_tls_options *options)
{
    SSL_CTX *ctx = context->ctx;
    context->period = -1;
    if (options->seed == NULL || options->ticket_s == 0) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ctx, 0) == 1 ? 0 : TRI_ENOMEM;
    }
    memcpy(context->seed, options->seed, sizeof context->seed);
    context->ticket_s = options->ticket_s;
    SSL_CTX_set_app_data(ctx, context);
    SSL_CTX_set_timeout(ctx, (long)options->ticket_s);
    if (!SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_key)
        || !SSL_CTX_set_session_ticket_cb(ctx, on_ticket, on_session, NULL))
        return TRI_ENOMEM;
    return 0;
}
