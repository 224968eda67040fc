/* Clients of a whole server that speak TLS, end it or leave it amid a handshake, or send bytes that are none of it: see
   fuzz_server.h. */
#include "fuzz_server.h"
#include "tls_peer.h"

#include <signal.h>

enum { SHAKES = 8 };

/* What every run uses again, and who it speaks with in this one. */
static struct {
    SSL_CTX *clients;
    tri_tls_context *server;
    SSL *peers[CLIENTS];
} lines;

static void line_serve(world *self)
{
    static check_mem mem;
    static identity own;
    if (lines.server == NULL) {
        needed(signal(SIGPIPE, SIG_IGN) != SIG_ERR); /* OpenSSL writes without minding that nobody reads */
        check_mem_init(&mem);
        own = identity_of(common_name("fuzz"), NULL);
        lines.server = context_speaking(&own, &mem.mem, TRI_TLS_HTTP1 | TRI_TLS_HTTP2);
        lines.clients = client_context();
    }
    tri_tls_context_ref(lines.server);
    tri_server_set_tls(self->serving.server, lines.server);
}

/* The handshake goes as far as the input says. */
static void line_open(world *self, unsigned which)
{
    static const unsigned char http2[] = "\x02h2", http1[] = "\x08http/1.1";
    unsigned how = fuzz_byte(&self->in);
    SSL *peer = SSL_new(lines.clients);
    needed(peer != NULL && SSL_set_fd(peer, self->clients[which]) == 1);
    if (how & 128)
        needed(SSL_set_max_proto_version(peer, TLS1_2_VERSION) == 1);
    needed(SSL_set_alpn_protos(peer, how & 64 ? http2 : http1, how & 64 ? sizeof http2 - 1 : sizeof http1 - 1) == 0);
    SSL_set_connect_state(peer);
    lines.peers[which] = peer;
    for (unsigned i = 0; i < SHAKES - how % SHAKES; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(peer);
        serving_turn(&self->serving, 0);
    }
}

static void line_close(const world *self, unsigned which)
{
    (void)self;
    SSL_free(lines.peers[which]);
    lines.peers[which] = NULL;
}

/* Before the handshake is complete, what begins with a NUL goes as it is. */
static void line_put(const world *self, unsigned which, const void *bytes, size_t n)
{
    ERR_clear_error();
    if (n > 0 && *(const char *)bytes == '\0' && !SSL_is_init_finished(lines.peers[which]))
        (void)!send(self->clients[which], bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    else if (n > 0)
        (void)SSL_write(lines.peers[which], bytes, (int)n);
}

static void line_take(const world *self, unsigned which)
{
    static char sink[1 << 16];
    (void)self;
    while (client_reads(lines.peers[which], sink, sizeof sink) > 0)
        continue;
}

/* Its side ends with a word of TLS, and the next time without. */
static void line_end(const world *self, unsigned which)
{
    ERR_clear_error();
    if (SSL_get_shutdown(lines.peers[which]) & SSL_SENT_SHUTDOWN)
        (void)shutdown(self->clients[which], SHUT_WR);
    else
        (void)SSL_shutdown(lines.peers[which]);
}
