/*
 * A load generator for HTTP/1.1 that checks every answer.
 *
 *     load --port P --request FILE --body FILE [--length N] [--upload N] [--status 200] [--connections N] [--depth N]
 *          [--requests N] [--seconds S] [--warm S] [--close] [--tls] [--gate]
 *
 * Each of N connections sends `depth` copies of the request in one write, waits until all are answered, and sends the
 * next. An answer must have the status, a Content-Length of N bytes (default: the size of FILE) and as its body FILE,
 * repeated to that length. With --upload the request is followed by N bytes, which its head must announce. The first
 * wrong answer, surplus byte, lost connection or silence of 30 seconds ends the program with 1 and one line that says
 * what was wrong. With --close each answer must be followed by the end of the connection, and a new one is opened. With
 * --tls the server must speak TLS 1.3; its certificate is not checked, and no session is resumed. A phase ends after
 * --requests or --seconds, when all that was sent is answered.
 *
 * With --gate, "ready" is printed after the warm-up and a line is awaited; the figures follow as one line of JSON, and
 * the connections stay open until a second line or the end of the input, so that a caller can read clocks at both ends.
 * At the second line, a connection that was closed meanwhile is an error.
 */
#include "load_base.h"
#include "load_tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, UPLOAD_MAX = 1 << 18 };

typedef enum conn_state { CONN_HEAD, CONN_BODY, CONN_END } conn_state;

typedef struct conn {
    int fd;
    conn_state state;
    bool blocked;        /* the socket's buffer is full: waiting until it is writable */
    SSL *tls;            /* NULL without */
    unsigned batch;      /* requests of the running batch */
    unsigned unanswered; /* of them */
    size_t sent;         /* bytes of the batch */
    uint64_t started;    /* when the batch was begun, in nanoseconds */
    size_t head_size;    /* bytes of an unfinished head kept in `head` */
    size_t body_at;      /* bytes of the body that were checked */
    char head[HEAD_MAX];
} conn;

/* What to do besides the task, from the command line. */
static struct {
    unsigned depth, status;
    size_t length, upload;
    bool has_length, close, tls;
    blob body, batch;
} plan = { .depth = 1, .status = 200 };

static unsigned closing; /* answered connections that the server has yet to close */
static conn *conns;

/* Connects to the server. */
static void conn_open(conn *c)
{
    c->fd = connect_to(task.port);
    make_nonblocking(c->fd);
    if (plan.tls)
        c->tls = tls_open(c->fd);
    c->state = CONN_HEAD;
    c->blocked = false;
    watch(EPOLL_CTL_ADD, c->fd, c, c->blocked);
}

/* The bytes that are to be sent in all for the running batch. */
static size_t conn_end(const conn *c)
{
    return c->batch * (task.request.n + plan.upload);
}

/* The bytes that come next: of the batch, then of what is uploaded. */
static size_t conn_rest(const conn *c, const char **rest)
{
    static const char uploaded[UPLOAD_MAX];
    size_t left = conn_end(c) - c->sent, heads = c->batch * task.request.n;
    *rest = c->sent < heads ? plan.batch.p + c->sent : uploaded;
    if (c->sent < heads)
        return heads - c->sent;
    return left < UPLOAD_MAX ? left : UPLOAD_MAX;
}

/* Writes what the socket takes of the batch; the rest goes when it is writable again. */
static void conn_write(conn *c)
{
    size_t end = conn_end(c);
    while (c->sent < end) {
        const char *rest;
        size_t size = conn_rest(c, &rest);
        ssize_t n = c->tls ? tls_write(c->tls, rest, size) : send(c->fd, rest, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("send: %s", strerror(errno));
        if (n < 0)
            break;
        c->sent += (size_t)n;
        phase.bytes += plan.upload ? (uint64_t)n : 0;
    }
    if (c->blocked != (c->sent < end && !(c->tls && SSL_want_read(c->tls)))) {
        c->blocked = !c->blocked;
        watch(EPOLL_CTL_MOD, c->fd, c, c->blocked);
    }
}

/* Begins the connection's next batch, unless the phase has issued enough. */
static void conn_issue(conn *c)
{
    c->started = now_ns();
    c->batch = phase_allows(plan.depth, c->started);
    if (c->batch == 0)
        return;
    c->unanswered = c->batch;
    c->sent = 0;
    phase.issued += c->batch;
    conn_write(c);
}

/* Counts a complete answer. */
static void conn_answered(conn *c)
{
    phase_answer(c->started);
    c->unanswered--;
    c->state = plan.close ? CONN_END : CONN_HEAD;
    closing += plan.close;
}

/* The value of the first Content-Length field of a head, or -1. */
static long long content_length(const char *head, const char *end)
{
    static const char name[] = "content-length:";
    for (const char *line = head; line < end; line++) {
        if (!strncasecmp(line, name, sizeof name - 1))
            return strtoll(line + sizeof name - 1, NULL, 10);
        line = memchr(line, '\n', (size_t)(end - line));
        if (!line)
            break;
    }
    return -1;
}

/* Checks the status and the length that a complete head announces; `end` is the last CRLF. */
static void conn_check_head(conn *c, const char *head, const char *end)
{
    if (end - head < 12 || strncmp(head, "HTTP/1.", 7) || head[8] != ' ')
        die("not an answer: %.*s", (int)(end - head), head);
    if (strtoul(head + 9, NULL, 10) != plan.status)
        die("status %.3s, not %u", head + 9, plan.status);
    long long length = content_length(head, end);
    if (length < 0 || (size_t)length != plan.length)
        die("Content-Length %lld, not %zu", length, plan.length);
    c->state = CONN_BODY;
    c->head_size = 0;
    c->body_at = 0;
    if (plan.length == 0)
        conn_answered(c);
}

/* Takes bytes of a head and returns how many; what is incomplete is kept for the next piece. */
static size_t conn_take_head(conn *c, const char *p, size_t n)
{
    if (c->head_size == 0) {
        const char *end = memmem(p, n, "\r\n\r\n", 4);
        if (end) {
            conn_check_head(c, p, end + 2);
            return (size_t)(end - p) + 4;
        }
    }
    size_t old = c->head_size, room = HEAD_MAX - old, take = n < room ? n : room;
    memcpy(c->head + old, p, take);
    c->head_size += take;
    const char *end = memmem(c->head, c->head_size, "\r\n\r\n", 4);
    if (!end && c->head_size == HEAD_MAX)
        die("a head of more than %d bytes", HEAD_MAX);
    if (!end)
        return take;
    size_t size = (size_t)(end - c->head) + 4;
    conn_check_head(c, c->head, end + 2);
    return size - old;
}

/* Compares bytes of a body with what is expected at that place and returns how many it took. */
static size_t conn_take_body(conn *c, const char *p, size_t n)
{
    size_t left = plan.length - c->body_at, taken = n < left ? n : left;
    for (size_t done = 0; done < taken;) {
        size_t at = (c->body_at + done) % plan.body.n, run = plan.body.n - at;
        if (run > taken - done)
            run = taken - done;
        if (memcmp(p + done, plan.body.p + at, run))
            die("a wrong body near byte %zu", c->body_at + done);
        done += run;
    }
    c->body_at += taken;
    if (c->body_at == plan.length)
        conn_answered(c);
    return taken;
}

/* Checks the bytes that have arrived. */
static void conn_take(conn *c, const char *p, size_t n)
{
    phase.bytes += n;
    while (n > 0) {
        if (c->unanswered == 0)
            die("%zu bytes after the last answer", n);
        size_t taken = c->state == CONN_HEAD ? conn_take_head(c, p, n) : conn_take_body(c, p, n);
        p += taken;
        n -= taken;
    }
}

/* The server has closed: right after an answer under --close, wrong otherwise. */
static void conn_ended(conn *c)
{
    if (c->state != CONN_END)
        die("the connection was closed with %u requests unanswered", c->unanswered);
    if (c->tls)
        SSL_free(c->tls);
    close(c->fd);
    closing--;
    conn_open(c);
    conn_issue(c);
}

/* Reads and checks what has arrived, a record at most under TLS; a batch that is complete is followed by the next. */
static void conn_read(conn *c)
{
    static char buffer[READ_MAX];
    ssize_t n = c->tls ? tls_read(c->tls, buffer, sizeof buffer) : recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0)
        die("recv: %s", strerror(errno));
    if (n == 0) {
        conn_ended(c);
        return;
    }
    conn_take(c, buffer, (size_t)n);
    if (c->unanswered == 0 && c->state == CONN_HEAD)
        conn_issue(c);
}

/* Runs one phase to its end: every request that was issued is answered. */
static void phase_run(uint64_t limit, double seconds)
{
    phase_begin(limit, seconds);
    for (unsigned i = 0; i < task.connections; i++)
        conn_issue(&conns[i]);
    while (phase.answered < phase.issued || closing > 0) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, SILENCE_MS);
        if (n == 0)
            die("silence with %llu requests unanswered", (unsigned long long)(phase.issued - phase.answered));
        for (int i = 0; i < n; i++) {
            conn *c = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) || (c->tls && c->sent < conn_end(c)))
                conn_write(c); /* under TLS also when the handshake has waited for the server */
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                conn_read(c);
            while (c->tls && SSL_pending(c->tls) > 0)
                conn_read(c);
        }
    }
}

/* The batch: as many copies of the request as one write carries. */
static void batch_make(void)
{
    plan.batch.n = task.request.n * plan.depth;
    plan.batch.p = malloc(plan.batch.n);
    if (!plan.batch.p)
        die("out of memory");
    for (unsigned i = 0; i < plan.depth; i++)
        memcpy(plan.batch.p + i * task.request.n, task.request.p, task.request.n);
}

static const struct option option_table[] = {
    TASK_OPTIONS,
    { "body", required_argument, NULL, 'b' },
    { "length", required_argument, NULL, 'l' },
    { "upload", required_argument, NULL, 'u' },
    { "status", required_argument, NULL, 's' },
    { "depth", required_argument, NULL, 'd' },
    { "close", no_argument, NULL, 'C' },
    { "tls", no_argument, NULL, 'T' },
    { NULL, 0, NULL, 0 },
};

/* Stores one option of the command line. */
static void plan_set(int option, const char *value)
{
    switch (option) {
    case 'b':
        plan.body = read_file(value);
        break;
    case 'l':
        plan.length = strtoul(value, NULL, 10), plan.has_length = true;
        break;
    case 'u':
        plan.upload = strtoul(value, NULL, 10);
        break;
    case 's':
        plan.status = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'd':
        plan.depth = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'C':
        plan.close = true;
        break;
    case 'T':
        plan.tls = true;
        break;
    }
}

/* Reads the command line; what cannot be run ends the program. */
static void plan_read(int argc, char **argv)
{
    task_read(argc, argv, option_table, plan_set);
    if (!plan.has_length)
        plan.length = plan.body.n;
    if (!plan.depth)
        die("--depth is at least 1");
    if (plan.length > 0 && plan.body.n == 0)
        die("--body is needed to check %zu bytes", plan.length);
    if ((plan.close || plan.upload) && plan.depth > 1)
        die("--close and --upload take one request at a time");
}

/* Ends the program unless every connection is still open and silent. */
static void conns_check_open(void)
{
    char byte;
    for (unsigned i = 0; i < task.connections; i++)
        if (recv(conns[i].fd, &byte, 1, MSG_PEEK) >= 0 || errno != EAGAIN)
            die("an idle connection was closed");
}

int main(int argc, char **argv)
{
    plan_read(argc, argv);
    batch_make();
    conns = task_open(sizeof *conns);
    for (unsigned i = 0; i < task.connections; i++)
        conn_open(&conns[i]);
    task_run(phase_run, gate_wait);
    if (task.gate && !plan.close)
        conns_check_open();
    return 0;
}
