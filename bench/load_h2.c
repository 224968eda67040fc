/*
 * A load generator for HTTP/2 in clear text, by prior knowledge, that checks every answer. nghttp2 frames it.
 *
 *     load_h2 --port P --request FILE --body FILE [--connections N] [--depth N] [--requests N] [--seconds S] [--warm S]
 *             [--gate]
 *
 * FILE of the request is one of HTTP/1.1 without a body: its method, target and fields are sent as HTTP/2 has them.
 * Each of N connections keeps `depth` streams open: an answer that is complete is followed by the next request. An
 * answer must be a 200 with FILE as its body; the first that is not, a stream that is reset, a lost connection or
 * silence of 30 seconds ends the program with 1 and one line that says what was wrong. Phases and --gate are those of
 * load.c.
 */
#include "load_base.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIELDS_MAX = 64, WINDOW = 1 << 24, FRAMES_MAX = 1 << 15, OUT_MAX = 1 << 17 };

typedef struct conn {
    int fd;
    bool blocked; /* the socket's buffer is full */
    nghttp2_session *session;
    size_t at, end; /* what waits in `out` */
    uint8_t out[OUT_MAX];
} conn;

/* A request that waits for its answer. */
typedef struct stream {
    uint64_t started;
    size_t at; /* bytes of the body that were checked */
    bool ok;   /* its status was the right one */
} stream;

/* What to do besides the task, from the command line. */
static struct {
    unsigned depth;
    blob body;
    nghttp2_nv fields[FIELDS_MAX];
    size_t n_fields;
} plan = { .depth = 1 };

static conn *conns;

/* Sends one request, unless the phase has issued enough. */
static void conn_issue(conn *c)
{
    uint64_t now = now_ns();
    if (phase_allows(1, now) == 0)
        return;
    stream *s = calloc(1, sizeof *s);
    if (!s)
        die("out of memory");
    s->started = now;
    if (nghttp2_submit_request(c->session, NULL, plan.fields, plan.n_fields, NULL, s) < 0)
        die("no further stream can be opened");
    phase.issued++;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    (void)flags;
    (void)user;
    stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s || name_n != 7 || memcmp(name, ":status", 7))
        return 0;
    s->ok = value_n == 3 && !memcmp(value, "200", 3);
    if (!s->ok)
        die("status %.*s", (int)value_n, value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *user)
{
    (void)flags;
    (void)user;
    stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s || n > plan.body.n - s->at || memcmp(bytes, plan.body.p + s->at, n))
        die("a wrong body");
    s->at += n;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s || code != NGHTTP2_NO_ERROR || !s->ok || s->at != plan.body.n)
        die("stream %d ended with %s after %zu bytes", id, nghttp2_http2_strerror(code), s ? s->at : 0);
    phase_answer(s->started);
    free(s);
    conn_issue(user);
    return 0;
}

/* Puts what nghttp2 has to send into the buffer, as far as there is room. */
static void conn_fill(conn *c)
{
    memmove(c->out, c->out + c->at, c->end - c->at);
    c->end -= c->at;
    c->at = 0;
    while (c->end + FRAMES_MAX <= OUT_MAX) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(c->session, &bytes);
        if (n < 0 || n > FRAMES_MAX)
            die("nghttp2: %s", n < 0 ? nghttp2_strerror((int)n) : "more at once than fits");
        if (n == 0)
            return;
        memcpy(c->out + c->end, bytes, (size_t)n);
        c->end += (size_t)n;
    }
}

/* Writes what nghttp2 has until the socket takes no more: requests that begin together leave together. */
static void conn_write(conn *c)
{
    bool full = false;
    while (conn_fill(c), c->at < c->end && !full) {
        ssize_t n = send(c->fd, c->out + c->at, c->end - c->at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("send: %s", strerror(errno));
        full = n < 0;
        c->at += full ? 0 : (size_t)n;
    }
    if (c->blocked != full) {
        c->blocked = full;
        watch(EPOLL_CTL_MOD, c->fd, c, c->blocked);
    }
}

/* Reads and checks what has arrived. */
static void conn_read(conn *c)
{
    static uint8_t buffer[READ_MAX];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the connection was lost: %s", n < 0 ? strerror(errno) : "closed");
    phase.bytes += (uint64_t)n;
    ssize_t took = nghttp2_session_mem_recv(c->session, buffer, (size_t)n);
    if (took != n)
        die("nghttp2: %s", nghttp2_strerror((int)took));
    if (!nghttp2_session_want_read(c->session))
        die("the server ended the session");
}

/* Connects, and makes the session with a window that never holds the server back. */
static void conn_open(conn *c)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks))
        die("out of memory");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    const nghttp2_settings_entry window = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW };
    if (nghttp2_session_client_new(&c->session, callbacks, c)
        || nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, &window, 1)
        || nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW))
        die("out of memory");
    nghttp2_session_callbacks_del(callbacks);
    c->fd = connect_to(task.port);
    make_nonblocking(c->fd);
    watch(EPOLL_CTL_ADD, c->fd, c, c->blocked);
}

/* Runs one phase to its end: every request that was issued is answered. */
static void phase_run(uint64_t limit, double seconds)
{
    phase_begin(limit, seconds);
    for (unsigned i = 0; i < task.connections; i++) {
        for (unsigned k = 0; k < plan.depth; k++)
            conn_issue(&conns[i]);
        conn_write(&conns[i]);
    }
    while (phase.answered < phase.issued) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, SILENCE_MS);
        if (n == 0)
            die("silence with %llu requests unanswered", (unsigned long long)(phase.issued - phase.answered));
        for (int i = 0; i < n; i++) {
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                conn_read(events[i].data.ptr);
            conn_write(events[i].data.ptr);
        }
    }
}

/* Adds a field of the request; its bytes stay where they are. */
static void plan_field(char *name, size_t name_n, char *value, size_t value_n)
{
    if (plan.n_fields == FIELDS_MAX)
        die("more than %d fields", FIELDS_MAX);
    plan.fields[plan.n_fields++] = (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, name_n, value_n, 0 };
}

/* Makes the fields of HTTP/2 of one line of HTTP/1.1: names in lower case, none of the connection's. */
static void plan_line(char *line, size_t n)
{
    static char authority[] = ":authority";
    char *colon = memchr(line, ':', n);
    if (!colon)
        die("not a field: %.*s", (int)n, line);
    size_t name_n = (size_t)(colon - line);
    char *value = colon + 1 + strspn(colon + 1, " ");
    for (char *p = line; p < colon; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    if (name_n == 10 && !memcmp(line, "connection", 10))
        return;
    if (name_n == 4 && !memcmp(line, "host", 4))
        plan_field(authority, sizeof authority - 1, value, (size_t)(line + n - value));
    else
        plan_field(line, name_n, value, (size_t)(line + n - value));
}

/* Takes the request apart. */
static void plan_fields(void)
{
    static char method[] = ":method", path[] = ":path", scheme[] = ":scheme", http[] = "http";
    char *p = task.request.p, *end = memmem(p, task.request.n, "\r\n", 2);
    char *target = memchr(p, ' ', task.request.n), *rest = target ? strchr(target + 1, ' ') : NULL;
    if (!end || !target || !rest || rest > end)
        die("not a request");
    plan_field(method, 7, p, (size_t)(target - p));
    plan_field(scheme, 7, http, 4);
    plan_field(path, 5, target + 1, (size_t)(rest - target - 1));
    for (char *line = end + 2; (end = strstr(line, "\r\n")) && end != line; line = end + 2)
        plan_line(line, (size_t)(end - line));
}

static const struct option option_table[] = {
    TASK_OPTIONS,
    { "body", required_argument, NULL, 'b' },
    { "depth", required_argument, NULL, 'd' },
    { NULL, 0, NULL, 0 },
};

/* Stores one option of the command line. */
static void plan_set(int option, const char *value)
{
    switch (option) {
    case 'b':
        plan.body = read_file(value);
        break;
    case 'd':
        plan.depth = (unsigned)strtoul(value, NULL, 10);
        break;
    }
}

int main(int argc, char **argv)
{
    task_read(argc, argv, option_table, plan_set);
    if (!plan.body.n || !plan.depth)
        die("--body is needed; --depth is at least 1");
    plan_fields();
    conns = task_open(sizeof *conns);
    for (unsigned i = 0; i < task.connections; i++)
        conn_open(&conns[i]);
    task_run(phase_run, gate_wait);
    return 0;
}
