/* Proxies in front of a server: PROXY headers, fields that are believed, and the paths by which they see how it is. */
#include "serving.h"

#include "server/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static tri_addr last_client, last_local;
static tri_forwarded last_said;

/* Answers with the client's address, and notes what was said of it. */
static void app_client(serving *self, tri_exchange *exchange)
{
    char text[TRI_ADDR_TEXT + 16], host[TRI_ADDR_TEXT];
    (void)self;
    last_client = *tri_exchange_peer(exchange);
    last_local = *tri_exchange_local(exchange);
    last_said = *tri_exchange_forwarded(exchange);
    tri_addr_text(&last_client, host);
    snprintf(text, sizeof text, "[%s %u]", host, last_client.port);
    (void)!answer(exchange, text);
    let_go(exchange);
}

/* A server with these options; with a further listener for PROXY headers, whose port it has from then on. */
static void open_with(serving *s, const tri_limits *limits, const tri_proxy_options *options, bool proxied)
{
    int fds[TRI_LISTENER_MAX];
    tri_addr address;
    serving_init(s, limits, app_client);
    CHECK(tri_server_set_proxies(s->server, options) == 0);
    if (!proxied)
        return;
    CHECK(tri_listener_tcp("127.0.0.1", 0, 128, fds) == 1);
    tri_listener_address(fds[0], &address);
    s->port = address.port;
    CHECK(tri_server_listen_proxied(s->server, fds[0], 0) == 0);
}

static tri_proxy_options options_of(const char *allow)
{
    return (tri_proxy_options){ .allow = { allow, strlen(allow) }, .fields = 63 };
}

static void send_bytes(const client *c, const void *bytes, size_t n)
{
    CHECK(send(c->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void test_fields(void)
{
    static client c;
    serving s;
    tri_limits limits = short_limits();
    tri_proxy_options options = options_of("127.0.0.1");
    open_with(&s, &limits, &options, false);
    client_open(&c, &s);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1:5\r\nX-Forwarded-Proto: https\r\n"
                    "X-Forwarded-Host: b\r\nX-Forwarded-Prefix: /p\r\n\r\n");
    SERVE_UNTIL(&s, client_has(&c, "[192.0.2.1 5]"));
    CHECK(last_said.scheme == TRI_FORWARDED_SECURE && last_said.host.n == 1 && last_said.prefix.n == 2);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, client_has(&c, "[127.0.0.1 "));
    CHECK(!tri_forwarded_any(&last_said)); /* of that request alone */
    client_close(&c);
    serving_fini(&s);

    options = options_of("192.0.2.0/24");
    open_with(&s, &limits, &options, false);
    client_open(&c, &s);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    SERVE_UNTIL(&s, client_has(&c, "[127.0.0.1 "));
    client_close(&c);
    serving_fini(&s);
}

/* The log is told of the client, whether its request had become an exchange or not. */
static void test_refusals(void)
{
    static client c[2];
    serving s;
    char text[TRI_ADDR_TEXT];
    tri_limits limits = short_limits();
    tri_proxy_options options = options_of("127.0.0.1");
    limits.exchanges = 1;
    limits.body_ms = 50;
    open_with(&s, &limits, &options, false);
    s.app = app_hold;
    client_open(&c[0], &s);
    client_open(&c[1], &s);
    client_send(&c[0], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    SERVE_UNTIL(&s, s.n_held == 1);
    client_send(&c[1], "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n");
    SERVE_UNTIL(&s, client_has(&c[1], " 503 "));
    tri_addr_text(&s.refusal.peer, text);
    CHECK(s.refusals == 1 && strcmp(text, "192.0.2.2") == 0);
    tri_exchange_want(s.held[0], TRI_WANT_READ);
    SERVE_UNTIL(&s, client_has(&c[0], " 408 "));
    tri_addr_text(&s.refusal.peer, text);
    CHECK(s.refusals == 2 && strcmp(text, "192.0.2.1") == 0);
    client_close(&c[0]);
    client_close(&c[1]);
    serving_fini(&s);
}

/* Serves one connection that begins with these bytes and goes on with a request, in pieces; whether the answer has
   `part`. */
static bool answers(const char *allow, const void *header, size_t n, size_t piece, const char *part)
{
    static client c;
    serving s;
    char bytes[8192];
    const char *request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n";
    tri_limits limits = short_limits();
    const tri_proxy_options options = options_of(allow);
    open_with(&s, &limits, &options, true);
    memcpy(bytes, header, n);
    memcpy(bytes + n, request, strlen(request));
    n += strlen(request);
    client_open(&c, &s);
    for (size_t at = 0; at < n; at += piece) {
        send_bytes(&c, bytes + at, piece < n - at ? piece : n - at);
        serve_for(&s, piece < 8000 ? 1 : 0);
        CHECK(at + piece >= n || s.exchanges == 0);
    }
    SERVE_UNTIL(&s, client_has(&c, part));
    bool found = client_has(&c, part);
    CHECK(counters_of(&s).refusals == 0);
    client_close(&c);
    serving_fini(&s);
    return found;
}

static void test_proxy_header(void)
{
    static const char v1[] = "PROXY TCP4 192.0.2.1 203.0.113.1 56324 443\r\n";
    static const char v2[] = SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xcb\0\x71\1\xdc\4\1\xbb";
    for (size_t piece = 1; piece < 8192; piece = piece * 3 + 1) {
        CHECK(answers("127.0.0.1", v1, sizeof v1 - 1, piece, "[192.0.2.1 56324]"));
        CHECK(last_local.port == 443);
        CHECK(answers("127.0.0.1", v2, sizeof v2 - 1, piece, "[192.0.2.1 56324]"));
        CHECK(last_local.port == 443);
    }
    /* Fields are believed of whom the header names, if that one is trusted, too. */
    CHECK(answers("127.0.0.1,192.0.2.0/24", v1, sizeof v1 - 1, 8192, "[198.51.100.1 0]"));
}

static void test_proxy_header_without_address(void)
{
    static const char unknown[] = "PROXY UNKNOWN\r\n";
    static const char local[] = SIGNATURE "\x20\0\0\0";
    static const char unspecified[] = SIGNATURE "\x21\0\0\0";
    static char unix_path[16 + 216] = SIGNATURE "\x21\x31\0\xd8";
    CHECK(answers("127.0.0.1", unknown, sizeof unknown - 1, 8192, "[127.0.0.1 "));
    CHECK(answers("127.0.0.1", unspecified, sizeof unspecified - 1, 8192, "[127.0.0.1 "));
    CHECK(answers("127.0.0.1", local, sizeof local - 1, 8192, "[198.51.100.1 0]"));
    CHECK(answers("127.0.0.1", unix_path, sizeof unix_path, 8192, "[ 0]"));
    CHECK(last_client.family == TRI_FAMILY_UNIX && last_local.port != 0);
    CHECK(answers("127.0.0.1,unix", unix_path, sizeof unix_path, 8192, "[198.51.100.1 0]"));
}

/* What follows the addresses is skipped, and not kept. */
static void test_proxy_extra(void)
{
    static char header[16 + TRI_PROXY_PROTOCOL_EXTRA];
    memcpy(header, SIGNATURE "\x21\x11\x10\0\xc0\0\2\1\xcb\0\x71\1\xdc\4\1\xbb", 28);
    memset(header + 28, 'x', sizeof header - 28);
    CHECK(answers("127.0.0.1", header, sizeof header, 8192, "[192.0.2.1 56324]"));
    CHECK(answers("127.0.0.1", header, sizeof header, 700, "[192.0.2.1 56324]"));
}

/* Whether a connection that sends these bytes, and then ends its side or waits, is closed with that in the log. */
static bool is_closed(const char *allow, const char *bytes, bool ends, const char *reason)
{
    static client c;
    serving s;
    tri_limits limits = short_limits();
    const tri_proxy_options options = options_of(allow);
    limits.first_head_ms = 60;
    open_with(&s, &limits, &options, true);
    client_open(&c, &s);
    client_send(&c, bytes);
    if (ends)
        shutdown(c.fd, SHUT_WR);
    SERVE_UNTIL(&s, client_ended(&c));
    bool told = s.refusals == 1 && strstr(s.refusal.reason, reason) != NULL && s.exchanges == 0;
    CHECK((s.refusal.status == 400) == (c.n > 0));
    client_close(&c);
    serving_fini(&s);
    return told;
}

static void test_no_proxy_header(void)
{
    CHECK(is_closed("127.0.0.1", GET("/"), false, "no PROXY header"));
    CHECK(is_closed("127.0.0.1", "PROXY TCP4 192", true, "ended before"));
    CHECK(is_closed("127.0.0.1", "", true, "ended before"));
    CHECK(is_closed("127.0.0.1", "PROXY TCP4 192", false, "in time"));
    CHECK(is_closed("127.0.0.1", "", false, "in time"));
    CHECK(is_closed("10.0.0.1", "PROXY UNKNOWN\r\n", false, "may not send"));
    CHECK(is_closed("", "PROXY UNKNOWN\r\n", false, "may not send"));
}

/* A stop does not wait for headers, and takes those that come at once. */
static void test_proxy_stop(void)
{
    static client c[2];
    serving s;
    tri_limits limits = short_limits();
    const tri_proxy_options options = options_of("127.0.0.1");
    open_with(&s, &limits, &options, true);
    client_open(&c[0], &s);
    client_open(&c[1], &s);
    SERVE_UNTIL(&s, counters_of(&s).open == 2);
    client_send(&c[0], "PROXY TCP4 192.0.2.1");
    serve_for(&s, 5);
    tri_server_stop(s.server);
    client_send(&c[0], " 203.0.113.1 1 2\r\n" GET("/"));
    SERVE_UNTIL(&s, client_has(&c[0], "[192.0.2.1 1]"));
    client_close(&c[0]);
    SERVE_UNTIL(&s, tri_server_drained(s.server));
    CHECK(client_ended(&c[1]));
    client_close(&c[1]);
    serving_fini(&s);
}

/* --- health --- */

static tri_proxy_options with_paths(void)
{
    return (tri_proxy_options){ .health_path = TRI_SPAN("/healthz"), .ready_path = TRI_SPAN("/readyz") };
}

static void test_health(void)
{
    static client c;
    serving s;
    tri_limits limits = short_limits();
    const tri_proxy_options options = with_paths();
    limits.exchanges = 1;
    open_with(&s, &limits, &options, false);
    s.app = app_hold;
    client_open(&c, &s);
    client_send(&c, GET("/other"));
    SERVE_UNTIL(&s, s.n_held == 1);
    static client d;
    client_open(&d, &s);
    client_send(&d, GET("/healthz") "HEAD /healthz?a HTTP/1.1\r\nHost: a\r\n\r\n" GET("/readyz"));
    SERVE_UNTIL(&s, client_has(&d, "HTTP/1.1 503") && client_count(&d, "HTTP/1.1 200") == 2);
    CHECK(client_count(&d, "ok\n") == 1 && client_count(&d, "content-length: 3") == 2);
    CHECK(client_has(&d, "not ready\n") && !client_ended(&d));
    client_forget(&d);
    tri_server_set_ready(s.server, true);
    client_send(&d, GET("/readyz") "POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" GET("/healthz"));
    SERVE_UNTIL(&s, client_has(&d, "405 ") && client_count(&d, "200 OK") == 2);
    CHECK(client_has(&d, "allow: GET, HEAD") && !client_ended(&d));
    CHECK(s.exchanges == 1 && s.refusals == 0);
    client_forget(&d);
    client_send(&d, "GET /healthz HTTP/1.0\r\n\r\n");
    SERVE_UNTIL(&s, client_ended(&d));
    CHECK(client_has(&d, "200 OK"));
    client_close(&c);
    client_close(&d);
    serving_fini(&s);
}

/* A body that is more than is dropped ends the connection; and paths alike are the application's. */
static void test_health_bodies(void)
{
    static client c;
    serving s;
    tri_limits limits = short_limits();
    const tri_proxy_options options = with_paths();
    limits.drain = 10;
    limits.body_ms = 50;
    open_with(&s, &limits, &options, false);
    client_open(&c, &s);
    client_send(&c, GET("/healthz/") GET("/health") "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    SERVE_UNTIL(&s, s.exchanges == 3);
    client_send(&c, "PUT /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n0123456789a");
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(client_has(&c, " 405 "));
    client_close(&c);
    client_open(&c, &s);
    client_send(&c, "PUT /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n0");
    SERVE_UNTIL(&s, client_has(&c, " 405 "));
    SERVE_UNTIL(&s, client_ended(&c)); /* the rest does not come */
    client_close(&c);
    serving_fini(&s);
}

/* Others serve on: checks are told so, and a connection that was used has a while longer for its last request. */
static void test_ready_while_relieved(void)
{
    static client c, d;
    serving s;
    tri_limits limits = short_limits();
    limits.keep_alive_ms = 60000;
    const tri_proxy_options options = with_paths();
    open_with(&s, &limits, &options, false);
    tri_server_set_ready(s.server, true);
    client_open(&c, &s);
    client_open(&d, &s);
    client_send(&c, GET("/readyz"));
    client_send(&d, GET("/readyz"));
    SERVE_UNTIL(&s, client_has(&c, "ok\n") && client_has(&d, "ok\n"));
    tri_server_relieve(s.server);
    tri_server_leave(s.server);
    client_send(&c, GET("/readyz"));
    SERVE_UNTIL(&s, client_has(&c, "connection: close") && client_ended(&c));
    CHECK(client_count(&c, "ok\n") == 2);
    tri_server_set_ready(s.server, false);
    tri_server_stop(s.server);
    uint64_t until = tri_reactor_now() + 400; /* longer than otherwise */
    SERVE_UNTIL(&s, tri_reactor_now() >= until);
    client_send(&d, GET("/readyz"));
    SERVE_UNTIL(&s, client_has(&d, "connection: close") && client_ended(&d));
    CHECK(client_count(&d, "ok\n") == 2);
    client_close(&c);
    client_close(&d);
    serving_fini(&s);
}

static void test_ready_while_stopping(void)
{
    static client c, d;
    serving s;
    tri_limits limits = short_limits();
    const tri_proxy_options options = with_paths();
    open_with(&s, &limits, &options, false);
    tri_server_set_ready(s.server, true);
    client_open(&c, &s);
    client_open(&d, &s);
    client_send(&c, GET("/readyz"));
    SERVE_UNTIL(&s, client_has(&c, "ok\n"));
    tri_server_leave(s.server);
    client_send(&c, GET("/readyz"));
    client_send(&d, GET("/healthz"));
    SERVE_UNTIL(&s, client_has(&c, "stopping\n") && client_ended(&c));
    SERVE_UNTIL(&s, client_has(&d, "ok\n") && client_ended(&d));
    CHECK(client_has(&c, "connection: close") && client_has(&d, "connection: close"));
    client_close(&c);
    client_close(&d);
    serving_fini(&s);
}

static void test_lag(void)
{
    static client c;
    serving s;
    tri_limits limits = short_limits();
    tri_proxy_options options = with_paths();
    options.ready_lag_ms = 150;
    open_with(&s, &limits, &options, false);
    tri_server_set_ready(s.server, true);
    client_open(&c, &s);
    client_send(&c, GET("/readyz"));
    SERVE_UNTIL(&s, client_has(&c, "ok\n"));
    serve_for(&s, 50);
    CHECK(s.turns < 12 && tri_server_lag_ms(s.server) < 150);
    usleep(190000); /* an application that does not let the loop turn */
    client_send(&c, GET("/readyz"));
    SERVE_UNTIL(&s, client_has(&c, "overloaded\n"));
    CHECK(tri_server_lag_ms(s.server) > 150);
    for (int i = 0; i < 400 && tri_server_lag_ms(s.server) > 150; i++) {
        usleep(10000);
        serving_turn(&s, 0);
    }
    client_forget(&c);
    client_send(&c, GET("/readyz"));
    SERVE_UNTIL(&s, client_has(&c, "ok\n"));
    client_close(&c);
    serving_fini(&s);
}

/* --- memory --- */

/* A connection with a header in two pieces, fields and health, with that request for memory refused; whether it came to
   that. */
static bool run_short(size_t fail_at)
{
    static client c;
    serving s = { 0 };
    const tri_limits limits = short_limits();
    tri_proxy_options options = with_paths();
    options.allow = TRI_SPAN("127.0.0.1,192.0.2.0/24");
    options.fields = 63;
    check_mem_init(&s.mem);
    CHECK(serving_open(&s, &limits, app_client) == 0);
    s.mem.fail_at = s.mem.requests + fail_at;
    int error = tri_server_set_proxies(s.server, &options);
    if (error == 0) {
        int fds[TRI_LISTENER_MAX];
        tri_addr address;
        CHECK(tri_listener_tcp("127.0.0.1", 0, 128, fds) == 1);
        tri_listener_address(fds[0], &address);
        s.port = address.port;
        error = tri_server_listen_proxied(s.server, fds[0], 0);
    }
    CHECK(error == 0 || error == TRI_ENOMEM);
    if (error == 0) {
        client_open(&c, &s);
        client_send(&c, "PROXY TCP4 192.0");
        serve_for(&s, 5);
        (void)!send(c.fd, ".2.1 10.0.0.1 1 2\r\n", 19, MSG_NOSIGNAL);
        (void)!send(c.fd, GET("/healthz"), strlen(GET("/healthz")), MSG_NOSIGNAL);
        (void)!send(c.fd, GET("/"), strlen(GET("/")), MSG_NOSIGNAL);
        serve_for(&s, 5);
        client_close(&c);
        serve_for(&s, 5);
    }
    bool reached = s.mem.requests >= s.mem.fail_at;
    serving_fini(&s);
    return reached;
}

static void test_memory(void)
{
    size_t n = 1;
    while (run_short(n))
        n++;
    CHECK(n > 8);
}

static void test_bad_list(void)
{
    serving s;
    tri_limits limits = short_limits();
    tri_proxy_options options = options_of("10.0.0.1/8");
    serving_init(&s, &limits, app_client);
    CHECK(tri_server_set_proxies(s.server, &options) == TRI_EINVAL);
    options = options_of("10.0.0.0/8");
    CHECK(tri_server_set_proxies(s.server, &options) == 0 && tri_server_set_proxies(s.server, &options) == 0);
    serving_fini(&s);
}

int main(void)
{
    test_fields();
    test_refusals();
    test_proxy_header();
    test_proxy_header_without_address();
    test_proxy_extra();
    test_no_proxy_header();
    test_proxy_stop();
    test_health();
    test_health_bodies();
    test_ready_while_stopping();
    test_ready_while_relieved();
    test_lag();
    test_memory();
    test_bad_list();
    return check_report();
}
