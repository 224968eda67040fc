#define _GNU_SOURCE 1
/* A server over TLS, with HTTP/1.1 and HTTP/2, of which every system call and every allocation fails in turn: it lives,
   loses nothing that it holds, does not spin, and shakes hands with the next client. */
#include "faults.h"
#include "scenario.h"
#include "tls_peer.h"

#include <netinet/tcp.h>
#include <signal.h>

enum { PEERS = 4, TURNS = 400 };

/* A client over TLS, or one that only says so. */
typedef struct peer {
    int fd;
    SSL *ssl;
    size_t come; /* bytes of data */
} peer;

static peer peers[PEERS + 1];

static bool is_client(int fd)
{
    for (int i = 0; i <= PEERS; i++)
        if (peers[i].fd == fd)
            return true;
    return false;
}

static int set_timer(int fd, int flags, const struct itimerspec *when)
{
    return scenario_timer_set(fd, flags, when);
}

static SSL_CTX *modern, *older, *second;

/* Connects; none of this is the server's. */
static void peer_open(peer *self, const serving *to, SSL_CTX *context)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(to->port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    *self = (peer){ .fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    needed(syscall(SYS_connect, self->fd, &at, sizeof at) == 0);
    needed(syscall(SYS_fcntl, self->fd, F_SETFL, O_NONBLOCK) == 0);
    needed(syscall(SYS_setsockopt, self->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) == 0);
    if (context == NULL)
        return;
    self->ssl = SSL_new(context);
    needed(self->ssl != NULL && SSL_set_fd(self->ssl, self->fd));
    SSL_set_connect_state(self->ssl);
}

static void peer_close(peer *self)
{
    SSL_free(self->ssl);
    if (self->fd >= 0)
        (void)syscall(SYS_close, self->fd);
    *self = (peer){ .fd = -1 };
}

/* Takes in what has come. */
static void peer_read(peer *self)
{
    static char bytes[65536];
    int got;
    while (self->ssl != NULL && (got = client_reads(self->ssl, bytes, sizeof bytes)) > 0)
        self->come += (size_t)got;
}

/* A few turns, in which the clients take in what comes. */
static void turns(serving *s, int n)
{
    while (n-- > 0) {
        serving_turn(s, 0);
        for (int i = 0; i <= PEERS; i++)
            peer_read(&peers[i]);
    }
}

/* Shakes hands, as far as that goes. */
static bool peer_shake(serving *s, peer *self)
{
    for (int i = 0; i < 12; i++) {
        ERR_clear_error();
        if (SSL_do_handshake(self->ssl) == 1)
            return true;
        serving_turn(s, 0);
    }
    return false;
}

/* Sends, if there is anybody to send it to. */
static void peer_send(serving *s, peer *self, const char *bytes, size_t n)
{
    ERR_clear_error();
    if (SSL_is_init_finished(self->ssl))
        (void)SSL_write(self->ssl, bytes, (int)n);
    turns(s, 4);
}

static void peer_ask(serving *s, peer *self, const char *request)
{
    peer_send(s, self, request, strlen(request));
}

/* Half of a hundred kilobytes at once, a short one for others. */
static void app(serving *self, tri_exchange *exchange)
{
    tri_loan loan = { { scenario_large, sizeof scenario_large }, scenario_release, NULL };
    tri_response response = { .status = 200 };
    bool large = self->exchanges % 2 == 0;
    if (large && tri_exchange_respond(exchange, &response) == 0)
        scenario_lent += tri_exchange_write(exchange, &loan, true) == 0;
    else if (!large)
        (void)!answer(exchange, "hello");
    let_go(exchange);
}

/* Clients of every kind come, ask and go; the server is asked to stop while they do. */
static void live(serving *s)
{
    peer_open(&peers[0], s, modern);
    peer_open(&peers[1], s, older);
    peer_open(&peers[2], s, NULL);
    (void)syscall(SYS_write, peers[2].fd, "GET / HTTP/1.1\r\n\r\n", 18);
    peer_open(&peers[3], s, second);
    for (int i = 0; i < PEERS; i++)
        if (peers[i].ssl != NULL)
            (void)peer_shake(s, &peers[i]);
    peer_ask(s, &peers[0], GET("/1") GET("/2"));
    peer_ask(s, &peers[1], GET("/3"));
    streams_hello(65535);
    for (unsigned stream = 1; stream < 6; stream += 2)
        streams_get(stream);
    streams_frame(STREAMS_WINDOW, 0, 0, TRI_SPAN("\0\1\0\0"));
    peer_send(s, &peers[3], streams_room.bytes, streams_room.n);
    streams_room.n = 0;
    peer_ask(s, &peers[0], GET("/4"));
    turns(s, 6);
}

static void end(serving *s)
{
    tri_server_stop(s->server);
    turns(s, 6);
    for (int i = 0; i < PEERS; i++)
        peer_close(&peers[i]);
    turns(s, 4);
}

/* Whatever has failed, who comes now is served. */
static void serve_another(serving *s)
{
    peer *last = &peers[PEERS];
    s->app = app_hello;
    scenario_skip(1); /* who had to pause goes on */
    turns(s, 2);
    peer_open(last, s, modern);
    CHECK(peer_shake(s, last));
    peer_ask(s, last, GET("/"));
    CHECK(last->come > 0);
    peer_close(last);
    turns(s, 2);
    s->app = app;
}

static identity own;

/* Opens a server that speaks TLS. */
static void open_secure(serving *s)
{
    tri_limits limits;
    tri_limits_default(&limits);
    memset(s, 0, sizeof *s);
    check_mem_init(&s->mem);
    scenario_lent = scenario_released = 0;
    serving_send_buffer = 8192;
    CHECK(serving_open(s, &limits, app) == 0);
    tri_server_set_tls(s->server, context_speaking(&own, &s->mem.mem, TRI_TLS_HTTP1 | TRI_TLS_HTTP2));
}

/* Ends it, and looks at what is left. */
static void close_secure(serving *s, unsigned descriptors)
{
    scenario_skip(60);
    for (int i = 0; i < 20 && !tri_server_drained(s->server); i++)
        serving_turn(s, 0);
    CHECK(tri_server_drained(s->server) && s->turns < TURNS);
    serving_fini(s);
    CHECK(scenario_lent == scenario_released && count_descriptors() == descriptors);
}

/* Runs with the fault that is set; returns whether it came to it. */
static bool run_faulty(unsigned at, unsigned *exchanges)
{
    serving s;
    unsigned before = count_descriptors();
    fault.at = 0;
    open_secure(&s);
    memset(fault.made, 0, sizeof fault.made);
    fault.at = at;
    live(&s);
    fault.at = 0;
    bool reached = fault.made[fault.call] >= at;
    if (fault.error == 0)
        *exchanges = s.exchanges;
    if (fault.error == SHORT || fault.error == EINTR)
        CHECK(s.exchanges == *exchanges);
    serve_another(&s);
    end(&s);
    close_secure(&s, before);
    if (check_failed > 0)
        fprintf(stderr, "call %d, errno %d, the %u-th time\n", (int)fault.call, fault.error, at);
    return reached;
}

static const trial plausible[] = {
    { RECV, { SHORT, EINTR, EAGAIN, ECONNRESET, ETIMEDOUT, ENOMEM } },
    { SEND, { SHORT, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS } },
    { ACCEPT, { EINTR, ECONNABORTED, EMFILE, ENOMEM } },
    { EPOLL_WAIT, { EINTR } },
    { EPOLL_CTL, { ENOMEM } },
    { SHUTDOWN, { ENOTCONN } },
    { CLOSE, { EIO } },
    { SETSOCKOPT, { ENOMEM } },
    { UNSENT, { EINVAL } },
};

static void test_calls(void)
{
    unsigned exchanges = 0, tried = 0;
    CHECK(!run_faulty(UINT32_MAX, &exchanges) && exchanges > 5);
    for (size_t k = 0; k < sizeof plausible / sizeof *plausible; k++) {
        for (const int *error = plausible[k].errors; *error != 0; error++) {
            fault.call = plausible[k].call;
            fault.error = *error;
            for (unsigned at = 1; check_failed == 0 && run_faulty(at, &exchanges); at++)
                tried++;
        }
    }
    CHECK(tried > 100);
    CHECK(faults_made >= tried);
    printf("%u faults\n", tried);
}

/* Each allocation of the core's fails, and so many after it. */
static void test_allocations(void)
{
    static const size_t more[] = { 0, 3, SIZE_MAX };
    unsigned tried = 0;
    memset(&fault, 0, sizeof fault);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        bool reached = true;
        for (size_t at = 1; reached && check_failed == 0; at++) {
            serving s;
            unsigned before = count_descriptors();
            open_secure(&s);
            s.mem.requests = 0;
            s.mem.fail_at = at;
            s.mem.fail_more = more[i];
            live(&s);
            reached = s.mem.requests >= at;
            s.mem.fail_at = 0;
            serve_another(&s);
            end(&s);
            close_secure(&s, before);
            tried += reached;
        }
    }
    CHECK(tried > 60);
    printf("%u allocations\n", tried);
}

int main(void)
{
    static const unsigned char h2[] = "\2h2";
    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i <= PEERS; i++)
        peers[i].fd = -1;
    own = identity_of(common_name("localhost"), NULL);
    modern = client_context();
    older = client_context();
    second = client_context();
    needed(SSL_CTX_set_max_proto_version(older, TLS1_2_VERSION));
    needed(SSL_CTX_set_alpn_protos(second, h2, sizeof h2 - 1) == 0);
    test_calls();
    test_allocations();
    SSL_CTX_free(modern);
    SSL_CTX_free(older);
    SSL_CTX_free(second);
    identity_free(&own);
    return check_report();
}
