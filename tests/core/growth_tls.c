/* Connections over TLS whose records grow in number and size. Both ends are made, and have shaken hands, before what is
   measured: what the client says then is written down, and comes to the core's end by a socket. */
#include "growth.h"

#include "tls_peer.h"

enum kind { DATA, HELLO }; /* of a shape: the records are of data, or of a client's first message */

/* Bytes of records; and of a read: with each record that it takes out of its buffer OpenSSL moves those behind it to
   the front, so that up to the size of a read (in the end, of that buffer) small records cost more the more there are.
 */
enum { SMALL = 1000, FULL = 16000, AT_ONCE = 2048 };

typedef struct connection {
    tri_tls_context *context;
    SSL_CTX *clients;
    pair both;
    bool open;
} connection;

static connection it;

/* Makes a connection in place of the last one. */
static void open_connection(void)
{
    if (it.context == NULL) {
        identity server = identity_of(common_name("localhost"), NULL);
        it.context = context_of(&server, tri_mem_libc());
        it.clients = client_context();
        identity_free(&server);
    }
    if (it.open)
        pair_close(&it.both);
    pair_open(&it.both, it.context, it.clients);
    it.open = true;
}

/* The client's records of `size` bytes each; returns the bytes of data in them. */
static size_t make_records(growth_bytes *to, size_t units, size_t size)
{
    static const char data[FULL];
    open_connection();
    CHECK(pair_shake(&it.both) == 0);
    BIO *wire = BIO_new(BIO_s_mem());
    needed(wire != NULL);
    SSL_set0_wbio(it.both.client, wire);
    for (size_t i = 0; i < units; i++) {
        needed(SSL_write(it.both.client, data, (int)size) == (int)size);
        int n = BIO_read(wire, to->p + to->n, (int)(sizeof to->p - to->n));
        needed(n > 0);
        to->n += (size_t)n;
    }
    return units * size;
}

static size_t make_bytes(growth_bytes *to, size_t units)
{
    return make_records(to, units, 1);
}

static size_t make_small(growth_bytes *to, size_t units)
{
    return make_records(to, units, SMALL);
}

static size_t make_full(growth_bytes *to, size_t units)
{
    return make_records(to, units, FULL);
}

/* Part of a first message, in records of a byte. */
static size_t make_hello(growth_bytes *to, size_t units)
{
    static const char begins[] = { 1, 0, 0x70, 0 }; /* it says that it is longer than what comes */
    open_connection();
    for (size_t i = 0; i < units; i++) {
        growth_put(to, "\x16\x03\x01\0\1", 5);
        growth_put(to, i < sizeof begins ? begins + i : "\x03", 1);
    }
    return units;
}

/* Reads what has come; returns how many bytes of data. */
static size_t read_all(void)
{
    static char data[FULL];
    size_t seen = 0;
    ptrdiff_t n;
    while ((n = tri_tls_read(it.both.tls, data, sizeof data)) > 0)
        seen += (size_t)n;
    CHECK(n == TRI_EAGAIN);
    return seen;
}

static size_t decode(const growth_shape *shape, char *bytes, size_t n)
{
    size_t seen = 0;
    for (size_t at = 0, piece; at < n; at += piece) {
        piece = growth_piece(shape, at, n);
        needed(send(it.both.fds[1], bytes + at, piece, MSG_NOSIGNAL) == (ssize_t)piece);
        if (shape->kind == DATA)
            seen += read_all();
        else
            CHECK(tri_tls_handshake(it.both.tls) == TRI_EAGAIN);
    }
    return shape->kind == DATA ? seen : n / 6;
}

static const growth_shape shapes[] = {
    { "records of a byte", make_bytes, AT_ONCE, 256, DATA },
    { "records of a byte, a byte a read", make_bytes, 1, 32, DATA },
    { "records of a thousand bytes, a byte a read", make_small, 1, 1, DATA },
    { "full records", make_full, AT_ONCE, 4, DATA },
    { "a first message in records of a byte", make_hello, AT_ONCE, 1024, HELLO },
    { "a first message in records of a byte, a byte a read", make_hello, 1, 64, HELLO },
};

int main(void)
{
    growth_run(shapes, sizeof shapes / sizeof *shapes, decode);
    if (it.open)
        pair_close(&it.both);
    tri_tls_context_unref(it.context);
    SSL_CTX_free(it.clients);
    return check_report();
}
