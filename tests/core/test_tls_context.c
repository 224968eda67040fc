/* Contexts of TLS: certificates by name, tickets, certificates of clients, and memory that is refused anywhere. */
#include "tls_peer.h"

#include "net/tls_dev.h"

static check_mem memory;

/* How many of OpenSSL's allocations are let through; negative for all. */
static long let_through = -1;

static bool refuses(void)
{
    if (let_through > 0)
        let_through--;
    else if (let_through == 0)
        return true;
    return false;
}

static void *give(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return refuses() ? NULL : malloc(n);
}

static void *give_more(void *old, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return refuses() ? NULL : realloc(old, n);
}

static void take(void *old, const char *file, int line)
{
    (void)file;
    (void)line;
    free(old);
}

/* A file without a name. */
typedef struct file {
    int fd;
    char path[64];
} file;

static file file_of(tri_span first, tri_span second)
{
    file made = { .fd = memfd_create("file", MFD_CLOEXEC) };
    snprintf(made.path, sizeof made.path, "/proc/self/fd/%d", made.fd);
    needed(made.fd >= 0 && write(made.fd, first.p, first.n) == (ptrdiff_t)first.n
           && write(made.fd, second.p, second.n) == (ptrdiff_t)second.n);
    return made;
}

/* A certificate for these hosts, and its key, in one file. */
static file certificate_for(const char *hosts)
{
    tri_buf certificate = { 0 }, key = { 0 };
    const tri_tls_dev_plan plan = { .subject = "test", .hosts = hosts, .days = 2 };
    needed(tri_tls_dev_make(tri_mem_libc(), &plan, &certificate, &key) == 0);
    file made = file_of((tri_span){ tri_buf_data(&certificate), tri_buf_len(&certificate) },
                        (tri_span){ tri_buf_data(&key), tri_buf_len(&key) });
    tri_buf_release(&certificate, tri_mem_libc());
    tri_buf_release(&key, tri_mem_libc());
    return made;
}

static const unsigned char SEED[TRI_TLS_SEED] = { 1, 2, 3 };

/* What a client sees: which certificate it got, and whether its session was resumed. */
typedef struct seen {
    char name[64]; /* the first host of the certificate */
    bool resumed;
    int error;
} seen;

/* The first host of a certificate. */
static void first_host(X509 *certificate, char *out, size_t n)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    needed(names != NULL && sk_GENERAL_NAME_num(names) > 0);
    const ASN1_STRING *text = sk_GENERAL_NAME_value(names, 0)->d.dNSName;
    snprintf(out, n, "%.*s", ASN1_STRING_length(text), (const char *)ASN1_STRING_get0_data(text));
    GENERAL_NAMES_free(names);
}

/* Connects a client that names a host, NULL for none, perhaps with a session, which is replaced by the new one. */
static seen connect_to(tri_tls_context *context, SSL_CTX *client, const char *host, SSL_SESSION **session)
{
    pair both;
    seen got = { .error = TRI_EAGAIN };
    char byte[4];
    pair_open(&both, context, client);
    needed(host == NULL || SSL_set_tlsext_host_name(both.client, host));
    if (session != NULL && *session != NULL)
        needed(SSL_set_session(both.client, *session));
    got.error = pair_shake(&both);
    if (got.error == 0) {
        char hi[] = "hi";
        struct iovec iov = { .iov_base = hi, .iov_len = 2 };
        CHECK(tri_tls_writev(both.tls, &iov, 1) == 2 && client_reads(both.client, byte, 4) == 2);
        X509 *certificate = SSL_get1_peer_certificate(both.client);
        first_host(certificate, got.name, sizeof got.name);
        X509_free(certificate);
        got.resumed = SSL_session_reused(both.client);
    }
    if (session != NULL && got.error == 0) {
        SSL_SESSION_free(*session);
        *session = SSL_get1_session(both.client);
        SSL_set_shutdown(both.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    pair_close(&both);
    return got;
}

/* Options with three certificates. */
typedef struct world {
    file files[3];
    tri_tls_pair more[2];
    tri_tls_options options;
} world;

static void world_open(world *self)
{
    *self = (world){ .files = { certificate_for("DNS:a.example"), certificate_for("DNS:b.example,DNS:a.example"),
                                certificate_for("DNS:*.c.example,DNS:UPPER.example") } };
    self->more[0].certificate = self->files[1].path;
    self->more[1].certificate = self->files[2].path;
    self->options = (tri_tls_options){ .certificate = self->files[0].path,
                                       .protocols = TRI_TLS_HTTP1,
                                       .more = self->more,
                                       .more_n = 2,
                                       .seed = SEED,
                                       .ticket_s = 1000 };
}

static void world_close(world *self)
{
    for (int i = 0; i < 3; i++)
        close(self->files[i].fd);
}

static tri_tls_context *made(const world *self)
{
    char fault[TRI_TLS_FAULT] = "";
    tri_tls_context *context = NULL;
    int error = tri_tls_context_new(&context, &memory.mem, &self->options, fault);
    if (error != 0)
        fprintf(stderr, "%s\n", fault);
    CHECK(error == 0);
    return context;
}

static void test_names(const world *self, SSL_CTX *client)
{
    static const char *const wanted[][2] = {
        { NULL, "a.example" },         { "a.example", "a.example" },       { "b.example", "b.example" },
        { "B.EXAMPLE", "b.example" },  { "x.c.example", "*.c.example" },   { "x.y.c.example", "a.example" },
        { "c.example", "a.example" },  { "upper.example", "*.c.example" }, { "example", "a.example" },
        { ".c.example", "a.example" }, { "elsewhere", "a.example" },
    };
    tri_tls_context *context = made(self);
    CHECK(tri_tls_context_pairs(context) == 3);
    tri_tls_validity validity = tri_tls_context_validity(context, 2);
    CHECK(validity.begins < 0 && validity.ends > 86400 && validity.ends <= 172800);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        CHECK(strcmp(connect_to(context, client, wanted[i][0], NULL).name, wanted[i][1]) == 0);
    tri_tls_context_unref(context);
}

static void test_tickets(world *self, SSL_CTX *client)
{
    SSL_SESSION *session = NULL;
    tri_tls_context *first = made(self), *second = made(self);
    CHECK(!connect_to(first, client, "b.example", &session).resumed);
    CHECK(connect_to(second, client, "b.example", &session).resumed); /* another worker, as it were */
    self->options.seed = (const unsigned char *)"another seed of thirty-two bytes";
    tri_tls_context *third = made(self);
    CHECK(!connect_to(third, client, "b.example", &session).resumed);
    self->options.seed = NULL;
    tri_tls_context *none = made(self);
    CHECK(!connect_to(none, client, "b.example", &session).resumed);
    self->options.seed = SEED;
    tri_tls_context_unref(first);
    tri_tls_context_unref(second);
    tri_tls_context_unref(third);
    tri_tls_context_unref(none);
    SSL_SESSION_free(session);
}

/* Every byte of a ticket counts: one that was changed begins a new session. */
static void test_damaged_tickets(const world *self)
{
    SSL_CTX *client = client_context();
    needed(SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION));
    SSL_SESSION *session = NULL;
    tri_tls_context *context = made(self);
    CHECK(connect_to(context, client, NULL, &session).error == 0);
    unsigned char *form = NULL;
    int n = i2d_SSL_SESSION(session, &form);
    needed(n > 0);
    const unsigned char *ticket;
    size_t ticket_n;
    SSL_SESSION_get0_ticket(session, &ticket, &ticket_n);
    unsigned char *at = memmem(form, (size_t)n, ticket, ticket_n);
    needed(at != NULL && ticket_n > 64);
    for (size_t i = 0; i < ticket_n; i += 7) {
        at[i] ^= 0x10;
        const unsigned char *from = form;
        SSL_SESSION *damaged = d2i_SSL_SESSION(NULL, &from, n);
        needed(damaged != NULL);
        seen got = connect_to(context, client, NULL, &damaged);
        CHECK(got.error == 0 && !got.resumed);
        SSL_SESSION_free(damaged);
        at[i] ^= 0x10;
    }
    CHECK(connect_to(context, client, NULL, &session).resumed);
    OPENSSL_free(form);
    SSL_SESSION_free(session);
    tri_tls_context_unref(context);
    SSL_CTX_free(client);
}

/* Each allocation of ours fails once. */
static void test_refused_memory(const world *self)
{
    char fault[TRI_TLS_FAULT];
    int error = TRI_ENOMEM;
    for (size_t at = 1; error != 0 && at < 1000; at++) {
        tri_tls_context *context = NULL;
        memory.requests = 0;
        memory.fail_at = at;
        error = tri_tls_context_new(&context, &memory.mem, &self->options, fault);
        memory.fail_at = 0;
        CHECK(error == 0 || (error == TRI_ENOMEM && context == NULL));
        if (error == 0)
            tri_tls_context_unref(context);
        CHECK(memory.bytes_out == 0);
    }
    CHECK(error == 0);
}

/* All of OpenSSL's allocations fail from one on; what comes of it is an error, and no crash. */
static void test_openssl_refused_memory(world *self)
{
    char fault[TRI_TLS_FAULT];
    int error = TRI_ENOMEM;
    unsigned failed = 0;
    self->options.clients = TRI_TLS_REQUIRED;
    self->options.authorities = self->files[0].path;
    for (long at = 0; error != 0 && at < 100000; at += at < 200 ? 1 : 37) {
        tri_tls_context *context = NULL;
        let_through = at;
        error = tri_tls_context_new(&context, tri_mem_libc(), &self->options, fault);
        let_through = -1;
        ERR_clear_error();
        failed += error != 0;
        CHECK(error == 0 || ((error == TRI_ENOMEM || error == TRI_EINVAL) && context == NULL));
        if (error == 0)
            tri_tls_context_unref(context);
    }
    CHECK(error == 0 && failed > 200);
    self->options.clients = TRI_TLS_UNASKED;
    self->options.authorities = NULL;
}

/* Making a certificate when memory is refused. */
static void test_dev_refused_memory(void)
{
    const tri_tls_dev_plan plan = { .subject = "test", .hosts = "DNS:a,IP:::1", .days = 1 };
    int error = TRI_ENOMEM;
    for (size_t at = 1; error != 0 && at < 100; at++) {
        tri_buf certificate = { 0 }, key = { 0 };
        memory.requests = 0;
        memory.fail_at = at;
        error = tri_tls_dev_make(&memory.mem, &plan, &certificate, &key);
        memory.fail_at = 0;
        CHECK(error == 0 || error == TRI_ENOMEM);
        tri_buf_release(&certificate, &memory.mem);
        tri_buf_release(&key, &memory.mem);
    }
    CHECK(error == 0 && memory.bytes_out == 0);
    error = TRI_ENOMEM;
    for (long at = 0; error != 0 && at < 10000; at++) {
        tri_buf certificate = { 0 }, key = { 0 };
        let_through = at;
        error = tri_tls_dev_make(tri_mem_libc(), &plan, &certificate, &key);
        let_through = -1;
        CHECK(error == 0 || error == TRI_ENOMEM || error == TRI_EINVAL);
        tri_buf_release(&certificate, tri_mem_libc());
        tri_buf_release(&key, tri_mem_libc());
    }
    CHECK(error == 0);
}

/* More certificates than there may be are told. */
static void test_too_many(world *self)
{
    char fault[TRI_TLS_FAULT] = "";
    tri_tls_context *context = NULL;
    self->options.more_n = TRI_TLS_PAIRS;
    CHECK(tri_tls_context_new(&context, &memory.mem, &self->options, fault) == TRI_EINVAL);
    CHECK(strstr(fault, "too many") != NULL && memory.bytes_out == 0);
    self->options.more_n = 2;
}

int main(void)
{
    needed(CRYPTO_set_mem_functions(give, give_more, take));
    check_mem_init(&memory);
    world here;
    world_open(&here);
    SSL_CTX *modern = client_context(), *older = client_context();
    needed(SSL_CTX_set_max_proto_version(older, TLS1_2_VERSION));
    test_names(&here, modern);
    test_names(&here, older);
    test_tickets(&here, modern);
    test_tickets(&here, older);
    test_damaged_tickets(&here);
    test_too_many(&here);
    test_refused_memory(&here);
    test_openssl_refused_memory(&here);
    test_dev_refused_memory();
    world_close(&here);
    SSL_CTX_free(modern);
    SSL_CTX_free(older);
    return check_report();
}
