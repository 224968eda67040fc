/* What is known of a connection's TLS, and names as RFC 4514 writes them. */
#include "tls_peer.h"

#include "net/tls_facts.h"
#include "net/tls_name.h"

static check_mem memory;

/* What the core has appended, as text. */
static char *text_of(tri_buf *buf)
{
    static char text[1 << 16];
    size_t n = tri_buf_len(buf);
    if (n >= sizeof text)
        abort();
    if (n > 0)
        memcpy(text, tri_buf_data(buf), n);
    text[n] = '\0';
    tri_buf_release(buf, &memory.mem);
    return text;
}

/* A certificate as OpenSSL writes it. */
static char *pem_of(X509 *certificate)
{
    static char text[1 << 16];
    BIO *bio = BIO_new(BIO_s_mem());
    needed(bio != NULL && PEM_write_bio_X509(bio, certificate));
    int n = BIO_read(bio, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
    return text;
}

/* Adds a part to a name; `set` as X509_NAME_add_entry has it: 0 begins a new one, -1 joins the one before. */
static void add(X509_NAME *name, int nid, int kind, const char *value, int set)
{
    needed(X509_NAME_add_entry_by_NID(name, nid, kind, (const unsigned char *)value, -1, -1, set));
}

/* Checks what a name is written as, and gives it back. */
static bool is_written(X509_NAME *name, const char *expected)
{
    char text[512] = "";
    BIO *bio = BIO_new(BIO_s_mem());
    needed(bio != NULL);
    int written = tri_tls_name_put(bio, name);
    (void)BIO_read(bio, text, sizeof text - 1);
    bool same = written == 1 && strcmp(text, expected) == 0;
    if (!same)
        fprintf(stderr, "%s\n", text);
    BIO_free(bio);
    X509_NAME_free(name);
    return same;
}

/* The examples of RFC 4514 §4, and what certificates hold besides. */
static void test_names(void)
{
    X509_NAME *name = X509_NAME_new();
    CHECK(is_written(name, ""));
    name = X509_NAME_new();
    add(name, NID_domainComponent, MBSTRING_UTF8, "net", 0);
    add(name, NID_domainComponent, MBSTRING_UTF8, "example", 0);
    add(name, NID_userId, MBSTRING_UTF8, "jsmith", 0);
    CHECK(is_written(name, "UID=jsmith,DC=example,DC=net"));
    name = X509_NAME_new();
    add(name, NID_domainComponent, MBSTRING_UTF8, "net", 0);
    add(name, NID_organizationalUnitName, MBSTRING_UTF8, "Sales", 0);
    add(name, NID_commonName, MBSTRING_UTF8, "J.  Smith", -1);
    CHECK(is_written(name, "CN=J.  Smith+OU=Sales,DC=net"));
    CHECK(is_written(common_name("James \"Jim\" Smith, III"), "CN=James \\\"Jim\\\" Smith\\, III"));
    CHECK(is_written(common_name("Before\rAfter"), "CN=Before\\0DAfter"));
    CHECK(is_written(common_name(" #a+b;<c>\\ "), "CN=\\ #a\\+b\\;\\<c\\>\\\\\\ "));
    CHECK(is_written(common_name("#a"), "CN=\\#a"));
    CHECK(is_written(common_name("Lu\xC4\x8Di\xC4\x87"), "CN=Lu\xC4\x8Di\xC4\x87"));
}

/* A type without a registered short name is numbers, its value the digits of its encoding; so is text that is none. */
static void test_names_that_are_odd(void)
{
    X509_NAME *name = X509_NAME_new();
    needed(
        X509_NAME_add_entry_by_txt(name, "1.3.6.1.4.1.1466.0", MBSTRING_UTF8, (const unsigned char *)"Hi", -1, -1, 0));
    CHECK(is_written(name, "1.3.6.1.4.1.1466.0=#0C024869"));
    name = X509_NAME_new();
    const unsigned char half[] = { 0xd8, 0x00 }; /* of a pair of UTF-16 */
    needed(X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_BMPSTRING, half, 2, -1, 0));
    CHECK(is_written(name, "CN=#1E02D800"));
    name = X509_NAME_new();
    add(name, NID_pkcs9_emailAddress, MBSTRING_UTF8, "a@b", 0);
    CHECK(is_written(name, "emailAddress=a@b"));
}

static int believe(int good, X509_STORE_CTX *store)
{
    (void)good;
    (void)store;
    return 1;
}

/* The facts of a new connection, whose client has `own` and then `others` certificates of `signer`. */
static tri_tls_facts *facts_of(tri_tls_context *context, const identity *own, const identity *signer, int others)
{
    SSL_CTX *client = client_context();
    if (own != NULL)
        needed(SSL_CTX_use_certificate(client, own->certificate) && SSL_CTX_use_PrivateKey(client, own->key));
    for (int i = 0; i < others; i++)
        needed(SSL_CTX_add1_chain_cert(client, signer->certificate));
    pair both;
    pair_open(&both, context, client);
    CHECK(pair_shake(&both) == 0);
    tri_tls_facts *facts = NULL, *again = NULL;
    CHECK(tri_tls_facts_of(both.tls, &facts) == 0 && tri_tls_facts_of(both.tls, &again) == 0 && facts == again);
    tri_tls_facts_unref(again);
    pair_close(&both); /* which they outlive */
    SSL_CTX_free(client);
    return facts;
}

static void test_without_a_client_certificate(tri_tls_context *context, const identity *server)
{
    tri_buf out = { 0 };
    tri_tls_facts *facts = facts_of(context, NULL, NULL, 0), *others = facts_of(context, NULL, NULL, 0);
    CHECK(tri_tls_facts_version(facts) == 0x0304 && tri_tls_facts_cipher(facts) >> 8 == 0x13);
    CHECK(tri_tls_facts_server(facts, &out) == 0 && strcmp(text_of(&out), pem_of(server->certificate)) == 0);
    CHECK(tri_tls_facts_certificates(facts) == 0 && tri_tls_facts_error(facts) == NULL);
    CHECK(tri_tls_facts_client(facts, 0, &out) == 0 && tri_buf_len(&out) == 0);
    CHECK(tri_tls_facts_name(facts, &out) == 0 && tri_buf_len(&out) == 0);
    CHECK(tri_tls_facts_alike(facts, others));
    tri_tls_facts_unref(facts);
    tri_tls_facts_unref(others);
}

/* Counts what was given back. */
static void count(void *kept)
{
    ++*(int *)kept;
}

static void test_with_a_client_certificate(tri_tls_context *context)
{
    int released = 0;
    tri_buf out = { 0 };
    identity signer = identity_of(common_name("signer"), NULL), own = identity_of(common_name("client"), &signer);
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, believe);
    tri_tls_facts *facts = facts_of(context, &own, &signer, 1);
    CHECK(tri_tls_facts_certificates(facts) == 2);
    CHECK(tri_tls_facts_client(facts, 0, &out) == 0 && strcmp(text_of(&out), pem_of(own.certificate)) == 0);
    CHECK(tri_tls_facts_client(facts, 1, &out) == 0 && strcmp(text_of(&out), pem_of(signer.certificate)) == 0);
    CHECK(tri_tls_facts_name(facts, &out) == 0 && strcmp(text_of(&out), "CN=client") == 0);
    CHECK(tri_tls_facts_error(facts) != NULL);
    CHECK(!tri_tls_facts_alike(facts, facts));
    tri_tls_facts_keep(facts, &released, count);
    CHECK(tri_tls_facts_kept(facts) == &released && released == 0);
    tri_tls_facts_unref(facts);
    CHECK(released == 1);
    facts = facts_of(context, &own, &signer, 40);
    CHECK(tri_tls_facts_certificates(facts) == TRI_TLS_CHAIN);
    tri_tls_facts_unref(facts);
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_NONE, NULL);
    identity_free(&own);
    identity_free(&signer);
}

int main(void)
{
    check_mem_init(&memory);
    identity server = identity_of(common_name("localhost"), NULL);
    tri_tls_context *context = context_of(&server, &memory.mem);
    test_names();
    test_names_that_are_odd();
    test_without_a_client_certificate(context, &server);
    test_with_a_client_certificate(context);
    tri_tls_context_unref(context);
    identity_free(&server);
    CHECK(memory.blocks_out == 0 && memory.bytes_out == 0);
    return check_report();
}
