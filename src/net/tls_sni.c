/* Several certificates: a client names the server that it wants (RFC 6066 §3), and gets the certificate for that name.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_context.h"

enum {
    NAME = 255,    /* bytes of a host's name at most (RFC 1035 §2.3.4) */
    NAMES = 65536, /* of all certificates together */
};

/* A letter of a name, which has no case (RFC 9525 §6.3). */
static char lower(unsigned char c)
{
    static const char SMALL[] = "abcdefghijklmnopqrstuvwxyz";
    if (c >= 'A' && c <= 'Z')
        return SMALL[c - 'A'];
    return (char)c;
}

/* Orders names; of the same name that of an earlier certificate is first. */
static int compare(const void *left, const void *right)
{
    const tri_tls_name *a = left, *b = right;
    int order = memcmp(a->text, b->text, a->n < b->n ? a->n : b->n);
    if (order != 0)
        return order;
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    return a->which < b->which ? -1 : a->which > b->which;
}

/* Keeps a name of a certificate. What is too long to be a host's is none. */
static int add_name(tri_tls_context *context, const ASN1_STRING *name)
{
    int n = ASN1_STRING_length(name);
    if (n < 1 || n > NAME)
        return 0;
    if (context->names_n == NAMES)
        return TRI_ELIMIT;
    if (context->names_n == context->names_room) {
        unsigned room = context->names_room == 0 ? 16 : context->names_room * 2;
        tri_tls_name *names =
            tri_mem_resize(context->mem, context->names, context->names_room * sizeof *names, room * sizeof *names);
        if (names == NULL)
            return TRI_ENOMEM;
        context->names = names;
        context->names_room = room;
    }
    tri_tls_name *new = &context->names[context->names_n];
    new->text = tri_mem_alloc(context->mem, (size_t)n);
    if (new->text == NULL)
        return TRI_ENOMEM;
    new->n = (unsigned)n;
    new->which = context->identities_n - 1;
    for (int i = 0; i < n; i++)
        new->text[i] = lower(ASN1_STRING_get0_data(name)[i]);
    context->names_n++;
    return 0;
}

/* Keeps the names of a certificate: those of hosts in its extension, or else its subject's, as X509_check_host(3). */
static int add_names(tri_tls_context *context, const X509 *certificate)
{
    int error = 0;
    bool named = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; error == 0 && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        if (one->type != GEN_DNS)
            continue;
        named = true;
        error = add_name(context, one->d.dNSName);
    }
    GENERAL_NAMES_free(names);
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = named ? -1 : X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (error == 0 && at >= 0)
        error = add_name(context, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    return error;
}

/* Keeps what was read into `ctx`. */
static int add_identity(tri_tls_context *context, SSL_CTX *ctx)
{
    tri_tls_identity *new = &context->identities[context->identities_n];
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(ctx, &chain);
    if (chain != NULL && (new->chain = X509_chain_up_ref(chain)) == NULL)
        return TRI_ENOMEM;
    new->certificate = SSL_CTX_get0_certificate(ctx);
    new->key = SSL_CTX_get0_privatekey(ctx);
    X509_up_ref(new->certificate);
    EVP_PKEY_up_ref(new->key);
    context->identities_n++;
    return add_names(context, new->certificate);
}

/* Reads the further certificates. */
static int read_identities(tri_tls_context *context, const tri_tls_options *options, char *fault)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method()); /* each takes the place of the one before it */
    int error = ctx == NULL ? TRI_ENOMEM : 0;
    for (unsigned i = 0; error == 0 && i < options->more_n; i++) {
        error = tri_tls_context_load(ctx, &options->more[i], options->password, fault);
        if (error == 0)
            error = add_identity(context, ctx);
    }
    SSL_CTX_free(ctx);
    return error;
}

/* The first certificate that has this very name, or NULL. */
static const tri_tls_name *find(const tri_tls_context *context, const char *text, unsigned n)
{
    unsigned low = 0, high = context->names_n;
    const tri_tls_name wanted = { (char *)(uintptr_t)text, n, 0 };
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (compare(&context->names[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == context->names_n || context->names[low].n != n || memcmp(context->names[low].text, text, n) != 0)
        return NULL;
    return &context->names[low];
}

/* The certificates' name that stands for a client's, or NULL: the same, or else `*` in place of its first label. */
static const tri_tls_name *match(const tri_tls_context *context, const char *given)
{
    char text[NAME];
    size_t n = strlen(given), dot = 0;
    if (n == 0 || n > NAME)
        return NULL;
    for (size_t i = 0; i < n; i++)
        text[i] = lower((unsigned char)given[i]);
    const tri_tls_name *found = find(context, text, (unsigned)n);
    while (dot < n && text[dot] != '.')
        dot++;
    if (found != NULL || dot == 0 || dot == n)
        return found;
    text[dot - 1] = '*';
    return find(context, text + dot - 1, (unsigned)(n - dot + 1));
}

/* Gives a connection every certificate of a name, so that there may be one for each kind of key. */
static bool give(SSL *ssl, const tri_tls_context *context, const tri_tls_name *name)
{
    const tri_tls_name *end = context->names + context->names_n;
    SSL_certs_clear(ssl);
    /* The first is given last: where two have the same kind of key, it takes the other's place. */
    size_t n = 1;
    while (name + n < end && name[n].n == name->n && memcmp(name[n].text, name->text, name->n) == 0)
        n++;
    while (n-- > 0) {
        const tri_tls_identity *one = &context->identities[name[n].which];
        if (SSL_use_cert_and_key(ssl, one->certificate, one->key, one->chain, 1) != 1)
            return false;
    }
    return true;
}

/* Chooses the certificate by the name that the client gives. */
static int choose(SSL *ssl, int *alert, void *user)
{
    const tri_tls_context *context = user;
    const char *given = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const tri_tls_name *name = given == NULL ? NULL : match(context, given);
    if (name == NULL
        || X509_check_host(context->identities[name->which].certificate, given, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                           NULL)
               != 1)
        return SSL_TLSEXT_ERR_NOACK;
    if (give(ssl, context, name))
        return SSL_TLSEXT_ERR_OK;
    ERR_clear_error();
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int tri_tls_sni_set(tri_tls_context *context, const tri_tls_options *options, char *fault)
{
    if (options->more_n >= TRI_TLS_PAIRS)
        return tri_tls_context_blame(fault, options->certificate, "is one certificate of too many");
    context->identities = tri_mem_zalloc(context->mem, (options->more_n + 1) * sizeof *context->identities);
    if (context->identities == NULL)
        return TRI_ENOMEM;
    context->identities_room = options->more_n + 1;
    int error = add_identity(context, context->ctx);
    if (error == 0 && options->more_n > 0)
        error = read_identities(context, options, fault);
    if (error == TRI_ELIMIT)
        return tri_tls_context_blame(fault, options->certificate, "and the others have too many names");
    if (error != 0 || options->more_n == 0)
        return error;
    if (context->names_n > 0)
        qsort(context->names, context->names_n, sizeof *context->names, compare);
    SSL_CTX_set_tlsext_servername_callback(context->ctx, choose);
    SSL_CTX_set_tlsext_servername_arg(context->ctx, context);
    return 0;
}

void tri_tls_sni_fini(tri_tls_context *context)
{
    for (unsigned i = 0; i < context->names_n; i++)
        tri_mem_free(context->mem, context->names[i].text, context->names[i].n);
    tri_mem_free(context->mem, context->names, context->names_room * sizeof *context->names);
    for (unsigned i = 0; i < context->identities_n; i++) {
        X509_free(context->identities[i].certificate);
        EVP_PKEY_free(context->identities[i].key);
        sk_X509_pop_free(context->identities[i].chain, X509_free);
    }
    tri_mem_free(context->mem, context->identities, context->identities_room * sizeof *context->identities);
}
