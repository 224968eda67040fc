/* What is known of a connection's TLS. Certificates are shared with OpenSSL; their texts are made on demand. */
#include "net/tls_facts.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "net/tls_context.h"
#include "net/tls_name.h"

struct tri_tls_facts {
    const tri_mem *mem;
    X509 *server;
    X509 *client[TRI_TLS_CHAIN];
    uint8_t n_client;
    uint16_t version;
    uint16_t cipher;
    unsigned refs;
    long verdict; /* X509_V_OK, or what is wrong with the client's certificate */
    void *kept;
    void (*release)(void *kept);
};

/* Shares the certificates that the client has sent. */
static void take_chain(tri_tls_facts *facts, SSL *ssl)
{
    STACK_OF(X509) *rest = SSL_get_peer_cert_chain(ssl); /* a server's has the others only, and may be missing */
    X509 *own = SSL_get1_peer_certificate(ssl);
    if (own == NULL)
        return;
    facts->verdict = SSL_get_verify_result(ssl);
    facts->client[facts->n_client++] = own;
    for (int i = 0; i < sk_X509_num(rest) && facts->n_client < TRI_TLS_CHAIN; i++) {
        X509 *next = sk_X509_value(rest, i);
        if (X509_up_ref(next))
            facts->client[facts->n_client++] = next;
    }
}

int tri_tls_facts_new(tri_tls_facts **out, const tri_mem *mem, SSL *ssl)
{
    tri_tls_facts *facts = tri_mem_zalloc(mem, sizeof *facts);
    if (facts == NULL)
        return TRI_ENOMEM;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    facts->refs = 1;
    facts->mem = mem;
    facts->version = (uint16_t)SSL_version(ssl);
    facts->cipher = cipher == NULL ? 0 : SSL_CIPHER_get_protocol_id(cipher);
    facts->verdict = X509_V_OK;
    facts->server = SSL_get_certificate(ssl);
    if (facts->server != NULL && !X509_up_ref(facts->server))
        facts->server = NULL;
    take_chain(facts, ssl);
    *out = facts;
    return 0;
}

tri_tls_facts *tri_tls_facts_ref(tri_tls_facts *facts)
{
    facts->refs++;
    return facts;
}

void tri_tls_facts_unref(tri_tls_facts *facts)
{
    if (--facts->refs > 0)
        return;
    if (facts->release != NULL)
        facts->release(facts->kept);
    X509_free(facts->server);
    for (unsigned i = 0; i < facts->n_client; i++)
        X509_free(facts->client[i]);
    tri_mem_free(facts->mem, facts, sizeof *facts);
}

unsigned tri_tls_facts_version(const tri_tls_facts *facts)
{
    return facts->version;
}

unsigned tri_tls_facts_cipher(const tri_tls_facts *facts)
{
    return facts->cipher;
}

unsigned tri_tls_facts_certificates(const tri_tls_facts *facts)
{
    return facts->n_client;
}

/* Appends what `put` writes of a certificate. */
static int append_text(const tri_tls_facts *facts, X509 *of, int (*put)(BIO *, X509 *), tri_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int error = bio != NULL && put(bio, of) ? 0 : TRI_ENOMEM;
    if (error == 0) {
        char *text = NULL;
        long n = BIO_get_mem_data(bio, &text);
        error = tri_buf_append(out, facts->mem, (tri_span){ text, n > 0 ? (size_t)n : 0 }, TRI_TLS_TEXT);
    }
    BIO_free(bio);
    ERR_clear_error();
    return error;
}

/* Writes a certificate as PEM. */
static int put_pem(BIO *bio, X509 *certificate)
{
    return PEM_write_bio_X509(bio, certificate);
}

/* Writes the name of a certificate. */
static int put_name(BIO *bio, X509 *certificate)
{
    return tri_tls_name_put(bio, X509_get_subject_name(certificate));
}

int tri_tls_facts_client(const tri_tls_facts *facts, unsigned which, tri_buf *out)
{
    return which < facts->n_client ? append_text(facts, facts->client[which], put_pem, out) : 0;
}

int tri_tls_facts_server(const tri_tls_facts *facts, tri_buf *out)
{
    return facts->server != NULL ? append_text(facts, facts->server, put_pem, out) : 0;
}

int tri_tls_facts_name(const tri_tls_facts *facts, tri_buf *out)
{
    return facts->n_client > 0 ? append_text(facts, facts->client[0], put_name, out) : 0;
}

const char *tri_tls_facts_error(const tri_tls_facts *facts)
{
    return facts->verdict == X509_V_OK ? NULL : X509_verify_cert_error_string(facts->verdict);
}

bool tri_tls_facts_alike(const tri_tls_facts *a, const tri_tls_facts *b)
{
    return a->n_client == 0 && b->n_client == 0 && a->server == b->server && a->version == b->version
           && a->cipher == b->cipher;
}

void tri_tls_facts_keep(tri_tls_facts *facts, void *user, void (*release)(void *))
{
    facts->kept = user;
    facts->release = release;
}

void *tri_tls_facts_kept(const tri_tls_facts *facts)
{
    return facts->kept;
}

const tri_mem *tri_tls_facts_mem(const tri_tls_facts *facts)
{
    return facts->mem;
}
