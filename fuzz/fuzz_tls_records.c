/* A connection over TLS as the input has it go: a client's bytes come in pieces of any size, damaged, doubled, left out
   or made up. Whatever comes, what is read is what the client has written, from its beginning. The random numbers of
   both ends are the same each time. */
#define OPENSSL_SUPPRESS_DEPRECATED 1 /* the one simple way to have random numbers that are not */
#include "fuzz.h"
#include "tls_peer.h"

#include <openssl/rand.h>

#include "net/tls_facts.h"

enum { STEPS = 256, ROOM = 300 };

static uint64_t number; /* of the random ones; each input begins with the same */

/* Fills `n` bytes with what follows from `number`. */
static int make_up(unsigned char *bytes, int n)
{
    for (int i = 0; i < n; i++) {
        number = number * 6364136223846793005U + 1442695040888963407U;
        bytes[i] = (unsigned char)(number >> 56);
    }
    return 1;
}

/* There is always enough of them. */
static int is_ready(void)
{
    return 1;
}

/* What all inputs share; it is made once. */
typedef struct setting {
    tri_tls_context *context;
    SSL_CTX *clients[2];
} setting;

static const setting *get_setting(void)
{
    static const RAND_METHOD numbers = { .bytes = make_up, .pseudorand = make_up, .status = is_ready };
    static setting made;
    if (made.context != NULL)
        return &made;
    needed(RAND_set_rand_method(&numbers));
    identity server = identity_of(common_name("localhost"), NULL);
    made.context = context_of(&server, tri_mem_libc());
    made.clients[0] = client_context();
    made.clients[1] = client_context();
    needed(SSL_CTX_set_max_proto_version(made.clients[1], TLS1_2_VERSION));
    identity_free(&server);
    return &made;
}

/* One run. */
typedef struct play {
    pair both;
    fuzz_input in;
    size_t written; /* by the client: byte i is i % 251 */
    size_t read;    /* of it by the core */
    int error;      /* the core's last */
} play;

/* What the client has to send: up to `n` bytes of it, taken off. */
static size_t take_wire(play *self, char *bytes, size_t n)
{
    int got = BIO_read(SSL_get_wbio(self->both.client), bytes, (int)n);
    return got > 0 ? (size_t)got : 0;
}

/* Sends bytes to the core, as far as its socket takes them. */
static void deliver(const play *self, const char *bytes, size_t n)
{
    if (self->both.fds[1] >= 0 && n > 0)
        (void)!send(self->both.fds[1], bytes, n, MSG_NOSIGNAL);
}

/* The client says something. */
static void write_some(play *self, size_t n)
{
    char bytes[256];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)((self->written + i) % 251);
    int put = n > 0 && SSL_is_init_finished(self->both.client) ? SSL_write(self->both.client, bytes, (int)n) : 0;
    self->written += put > 0 ? (size_t)put : 0;
}

/* What comes to the core is not what the client has sent. */
static void damage(play *self, unsigned how, unsigned amount)
{
    char bytes[256];
    size_t n = take_wire(self, bytes, amount);
    if (how == 0 && n > 0)
        bytes[n - 1] ^= (char)(1 << amount % 8);
    if (how == 1)
        n = 0;
    deliver(self, bytes, n);
    if (how == 2)
        deliver(self, bytes, n);
    if (how == 3) {
        n = self->in.n < amount ? self->in.n : amount;
        deliver(self, (const char *)self->in.p, n);
        self->in.p += n;
        self->in.n -= n;
    }
}

/* The client does something that carries no data, or goes. */
static void act(play *self, unsigned what)
{
    SSL *client = self->both.client;
    if (what % 4 == 0)
        (void)SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED);
    else if (what % 4 == 1)
        (void)SSL_renegotiate(client);
    else if (what % 4 == 2)
        (void)SSL_shutdown(client);
    else if (self->both.fds[1] >= 0)
        (void)shutdown(self->both.fds[1], SHUT_WR);
    (void)SSL_do_handshake(client);
}

/* The core reads, and what it gets is what was written. */
static void read_some(play *self, size_t room)
{
    char bytes[ROOM];
    ptrdiff_t n = tri_tls_read(self->both.tls, bytes, room);
    HOLDS(n <= (ptrdiff_t)room && (n > 0 || n == 0 || n == TRI_EAGAIN || n == TRI_ECLOSED || n == TRI_EPROTO));
    HOLDS(n != TRI_EAGAIN || !tri_tls_has_pending(self->both.tls));
    for (ptrdiff_t i = 0; i < n; i++)
        HOLDS(bytes[i] == (char)((self->read + (size_t)i) % 251));
    self->read += n > 0 ? (size_t)n : 0;
    HOLDS(self->read <= self->written);
    self->error = n < 0 ? (int)n : 0;
}

/* The core goes on with its handshake, or with what it has to read and to write. */
static void step(play *self, unsigned how)
{
    tri_tls *tls = self->both.tls;
    if (tri_tls_is_shaking(tls)) {
        self->error = tri_tls_handshake(tls);
        HOLDS(self->error == 0 || self->error == TRI_EAGAIN || self->error == TRI_ECLOSED || self->error == TRI_EPROTO
              || self->error == TRI_EINVAL);
        HOLDS((self->error == 0) == !tri_tls_is_shaking(tls));
        HOLDS(self->error != TRI_EPROTO || tri_tls_fault(tls) != NULL);
        return;
    }
    read_some(self, 1 + how % ROOM);
    const struct iovec iov[] = { { (void *)(uintptr_t) "abc", 1 + how % 3 }, { (void *)(uintptr_t) "defg", 4 } };
    ptrdiff_t put = how % 2 ? tri_tls_writev(tls, iov, 2) : 0;
    HOLDS(put <= 7);
    if (how == 255)
        HOLDS(tri_tls_end(tls) == 0 || tri_tls_end(tls) == TRI_EAGAIN);
}

/* What is known of a connection can be told at any time after its handshake. */
static void tell(tri_tls *tls)
{
    tri_tls_facts *facts = NULL;
    tri_buf text = { 0 };
    HOLDS(tri_tls_facts_of(tls, &facts) == 0);
    HOLDS(tri_tls_facts_version(facts) == 0x0303 || tri_tls_facts_version(facts) == 0x0304);
    HOLDS(tri_tls_facts_server(facts, &text) == 0 && tri_buf_len(&text) > 100);
    tri_buf_release(&text, tri_mem_libc());
    tri_tls_facts_unref(facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const setting *with = get_setting();
    play self = { .in = { data, size }, .error = TRI_EAGAIN };
    char bytes[ROOM];
    number = 1;
    pair_open(&self.both, with->context, with->clients[fuzz_byte(&self.in) % 2]);
    SSL_set0_wbio(self.both.client, BIO_new(BIO_s_mem()));
    for (int i = 0; i < STEPS && self.in.n > 0 && (self.error == 0 || self.error == TRI_EAGAIN); i++) {
        unsigned what = fuzz_byte(&self.in), amount = fuzz_byte(&self.in);
        ERR_clear_error();
        (void)SSL_do_handshake(self.both.client);
        if (what % 8 < 3)
            deliver(&self, bytes, take_wire(&self, bytes, 1 + amount));
        else if (what % 8 == 3)
            write_some(&self, amount);
        else if (what % 8 < 7)
            damage(&self, what / 8 % 4, amount);
        else
            act(&self, amount);
        (void)client_reads(self.both.client, bytes, sizeof bytes);
        step(&self, amount);
    }
    if (!tri_tls_is_shaking(self.both.tls))
        tell(self.both.tls);
    pair_close(&self.both);
    return 0;
}
