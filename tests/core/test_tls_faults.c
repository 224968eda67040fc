/* Memory that runs out at every allocation of a connection's life, the core's own and those of OpenSSL: what fails says
   so, nothing crashes or waits for ever, and nothing is kept. */
#include "tls_peer.h"

#include "net/tls_facts.h"

static struct {
    bool armed;      /* allocations are counted: the core is at work, not the client */
    size_t requests; /* since the start of the run */
    size_t fail_at;  /* 0 for never */
    long out;        /* blocks of OpenSSL's that are in use */
} library;

/* Whether the allocation that is asked for is to fail. */
static bool fails(void)
{
    return library.armed && ++library.requests == library.fail_at;
}

static void *library_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    void *p = fails() ? NULL : malloc(n);
    library.out += p != NULL;
    return p;
}

static void *library_realloc(void *old, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    void *p = fails() ? NULL : realloc(old, n);
    library.out += p != NULL && old == NULL;
    return p;
}

static void library_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    library.out -= p != NULL;
    free(p);
}

/* Does something of the core's, in which an allocation may fail. */
#define CORE(result, call)     \
    do {                       \
        library.armed = true;  \
        (result) = (call);     \
        library.armed = false; \
    } while (0)

/* Shakes hands; what the core says. The client may well fail, too, where it is told of a failure. */
static int shake(pair *self)
{
    int error = TRI_EAGAIN;
    for (int i = 0; i < 20 && error == TRI_EAGAIN; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(self->client);
        CORE(error, tri_tls_handshake(self->tls));
    }
    (void)SSL_do_handshake(self->client);
    return error;
}

/* Reads a request, answers it in two pieces and tells of the facts, as far as memory allows; what went wrong first. */
static int talk(pair *self, const tri_mem *memory)
{
    char text[16];
    ptrdiff_t n;
    int error;
    tri_buf out = { 0 };
    tri_tls_facts *facts = NULL;
    const struct iovec iov[] = { { (void *)(uintptr_t) "an", 2 }, { (void *)(uintptr_t) "swer", 4 } };
    if (SSL_write(self->client, "request", 7) != 7)
        return TRI_EPROTO;
    CORE(n, tri_tls_read(self->tls, text, sizeof text));
    if (n < 0)
        return (int)n;
    CHECK(n == 7 && memcmp(text, "request", 7) == 0);
    CORE(n, tri_tls_writev(self->tls, iov, 2));
    if (n < 0)
        return (int)n;
    CHECK(n == 6 && client_reads(self->client, text, 16) == 6 && memcmp(text, "answer", 6) == 0);
    CORE(error, tri_tls_facts_of(self->tls, &facts));
    if (error != 0)
        return error;
    CORE(error, tri_tls_facts_server(facts, &out));
    tri_buf_release(&out, memory);
    CORE(n, (tri_tls_facts_unref(facts), 0));
    return error;
}

/* The life of a connection; what went wrong first, 0 when nothing did. */
static int live(tri_tls_context *context, SSL_CTX *client, const tri_mem *memory)
{
    pair both = { 0 };
    int error, ended = 0;
    sockets_open(both.fds, 0);
    CORE(error, tri_tls_new(&both.tls, context, both.fds[0]));
    both.client = SSL_new(client);
    needed(both.client != NULL && SSL_set_fd(both.client, both.fds[1]));
    SSL_set_connect_state(both.client);
    if (error != 0)
        both.tls = NULL;
    else
        error = shake(&both);
    if (error == 0)
        error = talk(&both, memory);
    if (both.tls != NULL)
        CORE(ended, tri_tls_end(both.tls));
    CHECK(ended == 0);
    CORE(ended, (pair_close(&both), 0));
    return error;
}

/* The core's own allocations fail, one after another. */
static void test_the_core(tri_tls_context *context, SSL_CTX *client, check_mem *memory)
{
    int error = TRI_ENOMEM;
    size_t blocks = memory->blocks_out, n = 0;
    while (error != 0 && n++ < 100) {
        memory->requests = 0;
        memory->fail_at = n;
        error = live(context, client, &memory->mem);
        CHECK(error == 0 || error == TRI_ENOMEM);
        CHECK(memory->blocks_out == blocks);
    }
    memory->fail_at = 0;
    CHECK(error == 0 && n > 3);
    printf("%zu allocations\n", n - 1);
}

/* Those of OpenSSL fail. It gets over some; of others it says something else than that, which is an error, too. */
static void test_openssl(tri_tls_context *context, SSL_CTX *client, check_mem *memory)
{
    size_t blocks = memory->blocks_out, n = 0, told = 0, others = 0;
    long kept = 0;
    do {
        long before = library.out;
        library.requests = 0;
        library.fail_at = ++n;
        int error = live(context, client, &memory->mem);
        CHECK(error == 0 || error == TRI_ENOMEM || error == TRI_EPROTO);
        told += error == TRI_ENOMEM;
        others += error == TRI_EPROTO;
        kept += library.out - before;
        CHECK(memory->blocks_out == blocks);
    } while (library.requests >= library.fail_at && n < 20000);
    library.fail_at = 0;
    CHECK(n > 100 && told > others * 9 && kept == 0);
    printf("%zu allocations\n", n - 1);
    CHECK(live(context, client, &memory->mem) == 0);
}

int main(void)
{
    check_mem memory;
    check_mem_init(&memory);
    needed(CRYPTO_set_mem_functions(library_malloc, library_realloc, library_free));
    identity server = identity_of(common_name("localhost"), NULL);
    tri_tls_context *context = context_of(&server, &memory.mem);
    SSL_CTX *modern = client_context(), *older = client_context();
    needed(SSL_CTX_set_max_proto_version(older, TLS1_2_VERSION));
    CHECK(live(context, modern, &memory.mem) == 0 && live(context, older, &memory.mem) == 0);
    test_the_core(context, modern, &memory);
    test_openssl(context, modern, &memory);
    test_openssl(context, older, &memory);
    SSL_CTX_free(modern);
    SSL_CTX_free(older);
    tri_tls_context_unref(context);
    identity_free(&server);
    CHECK(memory.blocks_out == 0 && memory.bytes_out == 0);
    return check_report();
}
