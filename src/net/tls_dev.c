/* A certificate that signs itself: made, signed and written as PEM. */
#include "net/tls_dev.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

enum {
    EARLIER = 300, /* seconds that it is good before now, as clocks differ */
    DAY = 86400,
};

/* Gives it a number that no other has (RFC 5280 §4.1.2.2). */
static bool number(X509 *certificate)
{
    unsigned char random[16];
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    random[0] = (unsigned char)((random[0] & 0x7fU) | 0x40U); /* positive, and of this length */
    BIGNUM *serial = BN_bin2bn(random, sizeof random, NULL);
    bool done = serial != NULL && BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) != NULL;
    BN_free(serial);
    return done;
}

/* Gives it its subject, who is its issuer as well. */
static bool name(X509 *certificate, const char *subject)
{
    X509_NAME *own = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(own, "O", MBSTRING_UTF8, (const unsigned char *)"Tricorn development", -1, -1, 0)
           && X509_NAME_add_entry_by_txt(own, "CN", MBSTRING_UTF8, (const unsigned char *)subject, -1, -1, 0)
           && X509_set_issuer_name(certificate, own);
}

/* Adds an extension. */
static bool extend(X509 *certificate, int which, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, which, value);
    bool done = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

/* Fills in everything, and signs it. */
static bool fill(X509 *certificate, EVP_PKEY *key, const tri_tls_dev_plan *what)
{
    return X509_set_version(certificate, X509_VERSION_3) && number(certificate) && name(certificate, what->subject)
           && X509_gmtime_adj(X509_getm_notBefore(certificate), -EARLIER) != NULL
           && X509_gmtime_adj(X509_getm_notAfter(certificate), (long)what->days * DAY - EARLIER) != NULL
           && X509_set_pubkey(certificate, key) && extend(certificate, NID_subject_alt_name, what->hosts)
           && extend(certificate, NID_basic_constraints, "critical,CA:FALSE")
           && extend(certificate, NID_key_usage, "critical,digitalSignature")
           && extend(certificate, NID_ext_key_usage, "serverAuth")
           && extend(certificate, NID_subject_key_identifier, "hash") && X509_sign(certificate, key, EVP_sha256()) > 0;
}

/* Appends what was written into memory. */
static int take(const tri_mem *mem, BIO *bio, tri_buf *out)
{
    char *bytes = NULL;
    long n = BIO_get_mem_data(bio, &bytes);
    if (n <= 0)
        return TRI_ENOMEM;
    return tri_buf_append(out, mem, (tri_span){ bytes, (size_t)n }, TRI_TLS_DEV_MOST);
}

/* Writes both as PEM. */
static int print(const tri_mem *mem, X509 *certificate, EVP_PKEY *key, tri_buf *texts[2])
{
    BIO *first = BIO_new(BIO_s_mem()), *second = BIO_new(BIO_s_secmem());
    int error = TRI_ENOMEM;
    if (first != NULL && second != NULL && PEM_write_bio_X509(first, certificate)
        && PEM_write_bio_PrivateKey(second, key, NULL, NULL, 0, NULL, NULL))
        error = take(mem, first, texts[0]);
    if (error == 0)
        error = take(mem, second, texts[1]);
    BIO_free(first);
    BIO_free(second);
    return error;
}

int tri_tls_dev_make(const tri_mem *mem, const tri_tls_dev_plan *what, tri_buf *certificate, tri_buf *key)
{
    ERR_clear_error();
    X509 *made = X509_new();
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    int error = made == NULL || pair == NULL ? TRI_ENOMEM : 0;
    if (error == 0 && !fill(made, pair, what))
        error = TRI_EINVAL;
    if (error == 0)
        error = print(mem, made, pair, (tri_buf *[]){ certificate, key });
    X509_free(made);
    EVP_PKEY_free(pair);
    ERR_clear_error();
    return error;
}
