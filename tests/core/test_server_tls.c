/* Connections over TLS of a server: what they cost at their ends, and what a rush of them leaves. */
#include "serving.h"
#include "tls_peer.h"

#include <signal.h>

enum { RUSH = 80 };

/* A client over TLS. */
typedef struct secure {
    client plain;
    SSL *ssl;
    int come;  /* bytes of an answer */
    bool told; /* TLS has said that nothing more comes */
} secure;

/* Connects, and begins its handshake. */
static void secure_open(secure *self, const serving *to, SSL_CTX *context)
{
    client_open(&self->plain, to);
    self->come = 0;
    self->told = false;
    needed(fcntl(self->plain.fd, F_SETFL, O_NONBLOCK) == 0);
    self->ssl = SSL_new(context);
    needed(self->ssl != NULL && SSL_set_fd(self->ssl, self->plain.fd));
    SSL_set_connect_state(self->ssl);
    (void)SSL_do_handshake(self->ssl);
}

static void secure_close(secure *self)
{
    SSL_free(self->ssl);
    client_close(&self->plain);
}

/* Whether the client's handshake is complete. */
static bool is_connected(secure *self)
{
    ERR_clear_error();
    return SSL_do_handshake(self->ssl) == 1;
}

/* Reads what has come. */
static void take_in(secure *self)
{
    char bytes[1024];
    int got = client_reads(self->ssl, bytes, sizeof bytes);
    self->come += got > 0 ? got : 0;
    self->told = self->told || got == -SSL_ERROR_ZERO_RETURN;
}

/* Whether an answer has come. */
static bool is_answered(secure *self)
{
    take_in(self);
    return self->come > 0;
}

/* Whether the end has come, by a word of TLS. */
static bool is_told(secure *self)
{
    take_in(self);
    return self->told;
}

/* A server that speaks TLS. */
static void secure_init(serving *self, const tri_limits *limits, const identity *server)
{
    serving_init(self, limits, app_hello);
    tri_server_set_tls(self->server, context_of(server, &self->mem.mem));
}

/* Asks for a page and waits for it. */
static void ask(serving *self, secure *peer, const char *request)
{
    CHECK(SSL_write(peer->ssl, request, (int)strlen(request)) == (int)strlen(request));
    peer->come = 0;
    SERVE_UNTIL(self, is_answered(peer));
}

/* The peer is told that the connection ends, whoever ends it. */
static void test_ends(const identity *server, SSL_CTX *context)
{
    serving self;
    secure peer;
    tri_limits limits = short_limits();
    limits.keep_alive_ms = 50;
    secure_init(&self, &limits, server);
    secure_open(&peer, &self, context);
    SERVE_UNTIL(&self, is_connected(&peer));
    ask(&self, &peer, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    SERVE_UNTIL(&self, is_told(&peer)); /* idle for too long */
    secure_close(&peer);
    secure_open(&peer, &self, context);
    SERVE_UNTIL(&self, is_connected(&peer));
    ask(&self, &peer, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    SERVE_UNTIL(&self, is_told(&peer));
    secure_close(&peer);
    SERVE_UNTIL(&self, counters_of(&self).open == 0);
    CHECK(self.refusals == 0);
    serving_fini(&self);
}

/* A handshake has its own time, and a peer that has none of it is told nothing. */
static void test_deadline_of_the_handshake(const identity *server, SSL_CTX *context)
{
    serving self;
    secure peer;
    tri_limits limits = short_limits();
    limits.handshake_ms = 60;
    secure_init(&self, &limits, server);
    secure_open(&peer, &self, context);
    SERVE_UNTIL(&self, is_connected(&peer));
    client silent;
    client_open(&silent, &self);
    SERVE_UNTIL(&self, client_ended(&silent));
    CHECK(silent.n == 0 && strcmp(self.refusal.reason, "the TLS handshake was not over in time") == 0);
    ask(&self, &peer, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); /* which began before */
    client_close(&silent);
    secure_close(&peer);
    serving_fini(&self);
}

/* Handshakes are gone on with a few in a turn, and memory goes back once a rush is over. */
static void test_rush(const identity *server, SSL_CTX *context)
{
    static secure peers[RUSH];
    serving self;
    tri_limits limits = short_limits();
    secure_init(&self, &limits, server);
    for (int i = 0; i < RUSH; i++)
        secure_open(&peers[i], &self, context);
    unsigned before = self.turns;
    for (int i = 0; i < RUSH; i++)
        SERVE_UNTIL(&self, is_connected(&peers[i]));
    CHECK(self.turns - before >= RUSH / 16);
    for (int i = 0; i < RUSH; i++)
        ask(&self, &peers[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(self.mem.trims == 0);
    SERVE_UNTIL(&self, self.mem.trims > 0);
    size_t trims = self.mem.trims;
    serve_for(&self, 1200);
    CHECK(self.mem.trims == trims);
    for (int i = 0; i < RUSH; i++)
        secure_close(&peers[i]);
    serving_fini(&self);
}

/* Each allocation of ours fails: a connection is lost by it at most, and the next one is served. */
static void test_faults(const identity *server, SSL_CTX *context)
{
    serving self;
    tri_limits limits = short_limits();
    secure_init(&self, &limits, server);
    bool failed = true;
    for (size_t n = 1; failed && n < 200; n++) {
        secure peer;
        self.mem.requests = 0;
        self.mem.fail_at = n;
        secure_open(&peer, &self, context);
        for (int i = 0; i < 6; i++) {
            serving_turn(&self, 10);
            if (is_connected(&peer))
                (void)SSL_write(peer.ssl, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
        }
        failed = self.mem.requests >= n;
        self.mem.fail_at = 0;
        secure_close(&peer);
        SERVE_UNTIL(&self, counters_of(&self).open == 0);
    }
    CHECK(!failed);
    secure last;
    secure_open(&last, &self, context);
    SERVE_UNTIL(&self, is_connected(&last));
    ask(&self, &last, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    secure_close(&last);
    serving_fini(&self);
}

int main(void)
{
    identity server = identity_of(common_name("localhost"), NULL);
    SSL_CTX *context = client_context();
    (void)signal(SIGPIPE, SIG_IGN); /* of the clients: the server raises none, as the tests without TLS show */
    test_ends(&server, context);
    test_deadline_of_the_handshake(&server, context);
    test_rush(&server, context);
    test_faults(&server, context);
    SSL_CTX_free(context);
    identity_free(&server);
    return check_report();
}
