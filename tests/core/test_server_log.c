/* The access log of a server at work: what its lines say of answers, and when they are written. */
#include "serving.h"

#include <fcntl.h>

#include "server/internal.h"

static int ends[2];

static tri_span span_of(const char *text)
{
    return (tri_span){ text, strlen(text) };
}

/* Answers with fields and `hello` in two pieces, as status 200 or, at /204, without a body; logs it. */
static void app_logged(serving *self, tri_exchange *exchange)
{
    (void)self;
    const tri_head *head = tri_exchange_head(exchange);
    int status = tri_span_eq(tri_head_span(head, head->path), TRI_SPAN("/204")) ? 204 : 200;
    tri_field_out fields[] = { { TRI_SPAN("X-One"), TRI_SPAN("1") }, { TRI_SPAN("x-long"), span_of("") } };
    static char big[3000];
    memset(big, 'a', sizeof big);
    fields[1].value = (tri_span){ big, sizeof big };
    tri_response response = { .status = status, .fields = fields, .n_fields = 2 };
    tri_loan hel = { .bytes = TRI_SPAN("hel") }, lo = { .bytes = TRI_SPAN("lo") };
    if (tri_exchange_respond(exchange, &response) == 0 && tri_exchange_write(exchange, &hel, false) == 0
        && tri_exchange_write(exchange, &lo, true) == 0)
        tri_exchange_log_write(exchange, status);
    let_go(exchange);
}

static int open_log(serving *s, const char *format, tri_span excluded, int fd)
{
    tri_access_fault fault;
    const tri_access_config config = { .format = span_of(format), .excluded = excluded, .library = TRI_SPAN("c") };
    return tri_server_log_open(s->server, &config, fd, 0, &fault);
}

/* Sends requests and serves until so many answers have come; then gives the lines that were written. */
static const char *lines_of(serving *s, const char *requests, unsigned answers)
{
    static char lines[4096];
    static client c;
    client_open(&c, s);
    client_send(&c, requests);
    unsigned before = s->exchanges;
    SERVE_UNTIL(s, s->exchanges == before + answers);
    ssize_t n = read(ends[0], lines, sizeof lines - 1);
    CHECK(n < 0); /* not before somebody says so */
    tri_server_log_write(s->server);
    n = read(ends[0], lines, sizeof lines - 1);
    lines[n > 0 ? n : 0] = '\0';
    client_close(&c);
    return lines;
}

static void test_lines(void)
{
    serving s;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_logged);
    CHECK(open_log(&s, "%(m)s %(U)s %(s)s %(b)s %({x-one}o)s %({none}o)s", TRI_SPAN("/no*\0"), ends[1]) == 0);
    CHECK(open_log(&s, "common", TRI_SPAN(""), ends[1]) == TRI_ESTATE);
    const char *lines = lines_of(&s,
                                 "GET /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.1\r\nHost: a\r\n\r\n"
                                 "GET /204 HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n",
                                 4);
    CHECK(strcmp(lines, "GET /a 200 5 1 -\nHEAD /b 200 - 1 -\nGET /204 204 - 1 -\n") == 0);
    serving_fini(&s);
}

/* A field is kept up to a maximum, and a time that has passed is told. */
static void test_bounds(void)
{
    serving s;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_logged);
    CHECK(open_log(&s, "%({x-long}o)s %(D)s %(time)s", TRI_SPAN(""), ends[1]) == 0);
    const char *lines = lines_of(&s, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 1);
    CHECK(strspn(lines, "a") == TRI_ACCESS_LOG_SENT);
    unsigned long us = 0;
    CHECK(sscanf(lines + TRI_ACCESS_LOG_SENT, " %lu 20", &us) == 1 && us < 3000000);
    serving_fini(&s);
}

/* An answer goes out whole, whichever allocation for its line fails. */
static void test_no_memory(void)
{
    static client c;
    for (unsigned at = 1; at <= 12; at++) {
        serving s;
        tri_limits limits = short_limits();
        serving_init(&s, &limits, app_logged);
        CHECK(open_log(&s, "%(s)s %({x-one}o)s", TRI_SPAN(""), ends[1]) == 0);
        client_open(&c, &s);
        SERVE_UNTIL(&s, counters_of(&s).open == 1);
        s.mem.fail_at = s.mem.requests + at;
        s.mem.fail_more = 0;
        client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        serve_for(&s, 20);
        s.mem.fail_at = 0;
        client_close(&c);
        serving_fini(&s);
    }
    char lines[4096];
    ssize_t n = read(ends[0], lines, sizeof lines - 1);
    lines[n > 0 ? n : 0] = '\0';
    CHECK(strstr(lines, "200 1\n") != NULL && strstr(lines, "200 -\n") != NULL);
}

/* A line that nobody takes along wakes the sleeper, and is tried again while it is not taken. */
static void test_sleep(void)
{
    serving s;
    static client c;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hold);
    CHECK(open_log(&s, "%(s)s", TRI_SPAN(""), ends[1]) == 0);
    client_open(&c, &s);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_server_sleep(s.server, true);
    tri_exchange_log_write(s.held[0], 200);
    struct pollfd wanted = { tri_server_fd(s.server), POLLIN, 0 };
    CHECK(poll(&wanted, 1, 1000) == 1);
    CHECK(tri_server_turn(s.server, 0) == 0);
    tri_server_log_write(s.server);
    char bytes[8];
    CHECK(read(ends[0], bytes, sizeof bytes) == 4 && memcmp(bytes, "200\n", 4) == 0);
    tri_exchange_log_write(s.held[0], 201);
    tri_server_log_finish(s.server, 0);
    CHECK(read(ends[0], bytes, sizeof bytes) == 4 && memcmp(bytes, "201\n", 4) == 0);
    client_close(&c);
    serving_fini(&s);
}

/* What is lost is told at once, then only after a while, and at the end. */
static void test_lost(void)
{
    serving s;
    static client c;
    int why, full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hold);
    CHECK(open_log(&s, "%(s)s", TRI_SPAN(""), full) == 0);
    client_open(&c, &s);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(tri_server_log_lost(s.server, false, &why) == 0 && why == 0);
    for (unsigned round = 0; round < 2; round++) {
        tri_exchange_log_write(s.held[0], 200);
        tri_server_log_write(s.server);
        tri_server_log_finish(s.server, 0);
        CHECK(tri_server_log_lost(s.server, false, &why) == (round == 0 ? 1 : 0));
    }
    CHECK(tri_server_log_lost(s.server, true, &why) == 1 && why == ENOSPC);
    client_close(&c);
    serving_fini(&s);
    close(full);
}

/* Without a descriptor there are lines for others to write. */
static void test_line(void)
{
    serving s;
    static client c;
    tri_span line;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hold);
    CHECK(open_log(&s, "%(U)s %(library)s", TRI_SPAN("/x\0"), -1) == 0);
    client_open(&c, &s);
    client_send(&c, "GET /y HTTP/1.1\r\nHost: a\r\n\r\n");
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(tri_exchange_log_line(s.held[0], 200, &line) && tri_span_eq(line, TRI_SPAN("/y c\n")));
    tri_server_log_finish(s.server, 0);
    client_close(&c);
    serving_fini(&s);
}

int main(void)
{
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        abort();
    test_lines();
    test_bounds();
    test_no_memory();
    test_sleep();
    test_lost();
    test_line();
    return check_report();
}
