/*
 * A load generator for WebSockets that checks every message.
 *
 *     load_ws --port P --request FILE --accept VALUE --message FILE [--deflate [--fresh]] [--broadcast]
 *             [--fragments N] [--connections N] [--requests N] [--seconds S] [--warm S] [--gate]
 *
 * Each of N sockets is opened by the request, which must be answered with 101 and VALUE as Sec-WebSocket-Accept. Then
 * it sends a text message, waits until the same text has come back, and sends the next. The message is FILE with its
 * first 16 bytes replaced by the numbers of the socket and of the message, so that no echo can be taken for another.
 * Length and bytes of every echo are compared, in however many frames it comes. Pings are answered. The first wrong
 * byte, message too many, lost connection or silence of 30 seconds ends the program with 1 and one line that says what
 * was wrong.
 *
 * With --deflate the server must agree to permessage-deflate: every message is sent compressed by zlib, within the
 * window and the context takeover that were agreed on, and echoes are inflated where the server has compressed them.
 * With --fresh messages are compressed by themselves, which needs one compressor for all sockets, not one for each.
 * Without --deflate the server must not agree to an extension.
 *
 * With --fragments a message goes in N frames of the same size, as far as it can be divided so. It is not compressed.
 *
 * With --broadcast only the first socket sends, and every socket must be sent each message; that counts as one request.
 *
 * --requests, --seconds, --warm and --gate are those of load.c; pings are answered while a line is awaited, too.
 */
#include "load_base.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

enum { HEAD_MAX = 8192, STAMP = 16, FRAME_HEAD = 14, CONTROL_MAX = 125, PONGS = 8 * (CONTROL_MAX + 6), WINDOW = 15 };
enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum { FIN = 0x80, COMPRESSED = 0x40, RESERVED = 0x30, OPCODE = 0x0f, MASKED = 0x80 };

/* The frame that is being read. */
typedef struct frame {
    unsigned char head[10];
    unsigned head_size;  /* bytes of the head that are there */
    unsigned char first; /* the head's first byte */
    uint64_t left;       /* bytes of the payload that are not */
    unsigned char control[CONTROL_MAX];
    unsigned control_size;
} frame;

typedef struct sock {
    int fd;
    unsigned index;
    bool blocked;    /* the socket's buffer is full: waiting until it is writable */
    bool waiting;    /* a message is to come */
    bool in_message; /* some frames of it have come */
    bool inflating;  /* they are compressed */
    bool restarts;   /* each message is to be compressed by itself */
    int window;      /* of the compressor, in bits */
    uint64_t started;
    size_t checked; /* bytes of the message that were right */
    unsigned char *out;
    size_t out_size, sent, room;
    frame frame;
    z_stream *deflate, *inflate;
    char stamp[STAMP + 1]; /* how the message that is to come begins */
} sock;

/* What to do besides the task, from the command line. */
static struct {
    unsigned fragments;
    bool deflate, fresh, broadcast;
    blob message;
    const char *accept;
} plan = { .fragments = 1 };

static sock *socks;
static unsigned to_come; /* sockets that have yet to get the broadcast */
static unsigned serial;  /* of the last message */

/* Makes room for bytes that are about to be sent. */
static void sock_reserve(sock *s, size_t more)
{
    if (s->sent == s->out_size)
        s->sent = s->out_size = 0;
    if (s->room - s->out_size >= more)
        return;
    s->room = s->out_size + more;
    s->out = realloc(s->out, s->room);
    if (!s->out)
        die("out of memory");
}

/* Writes what the socket takes; the rest goes when it is writable again. */
static void sock_write(sock *s)
{
    while (s->sent < s->out_size) {
        ssize_t n = send(s->fd, s->out + s->sent, s->out_size - s->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("send: %s", strerror(errno));
        if (n < 0)
            break;
        s->sent += (size_t)n;
    }
    if (s->blocked != (s->sent < s->out_size)) {
        s->blocked = !s->blocked;
        watch(EPOLL_CTL_MOD, s->fd, s, s->blocked);
    }
}

/* Masks a payload with a key that is another one for each frame (xorshift: it need not be hard to guess here). */
static uint32_t mask(unsigned char *p, size_t n)
{
    static uint32_t key = 2463534242U;
    key ^= key << 13, key ^= key >> 17, key ^= key << 5;
    uint64_t twice = key | (uint64_t)key << 32, word;
    size_t at = 0;
    for (; at + sizeof word <= n; at += sizeof word) {
        memcpy(&word, p + at, sizeof word);
        word ^= twice;
        memcpy(p + at, &word, sizeof word);
    }
    for (; at < n; at++)
        p[at] ^= (unsigned char)(key >> 8 * (at & 3));
    return key;
}

/* Appends a frame whose payload stands FRAME_HEAD bytes behind the end of what is to be sent; it is moved to its place.
 */
static void sock_frame(sock *s, unsigned first, size_t n)
{
    unsigned char *start = s->out + s->out_size, *p = start, *payload = start + FRAME_HEAD;
    uint32_t key = mask(payload, n);
    *p++ = (unsigned char)first;
    *p++ = (unsigned char)(MASKED | (n < 126 ? n : n < 65536 ? 126 : 127));
    for (int bytes = n < 126 ? 0 : n < 65536 ? 2 : 8; bytes > 0; bytes--)
        *p++ = (unsigned char)((uint64_t)n >> 8 * (bytes - 1));
    memcpy(p, &key, sizeof key);
    p += sizeof key;
    memmove(p, payload, n);
    s->out_size += (size_t)(p - start) + n;
}

/* Makes what compresses a socket's messages; under --fresh all sockets share the first one. */
static z_stream *deflate_new(const sock *s)
{
    static z_stream *shared;
    if (plan.fresh && shared)
        return shared;
    z_stream *stream = calloc(1, sizeof *stream);
    int window = plan.fresh ? 9 : s->window;
    if (!stream || deflateInit2(stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -window, 8, Z_DEFAULT_STRATEGY))
        die("a compressor with a window of %d bits cannot be made", window);
    return shared = stream;
}

/* Compresses the message in two parts, its stamp and the rest, to `to`; returns how long it is then. */
static size_t sock_compress(sock *s, const char *stamp, unsigned char *to, size_t room)
{
    if (!s->deflate)
        s->deflate = deflate_new(s);
    if (s->restarts || plan.fresh)
        deflateReset(s->deflate);
    s->deflate->next_out = to;
    s->deflate->avail_out = (uInt)room;
    s->deflate->next_in = (unsigned char *)stamp;
    s->deflate->avail_in = STAMP;
    deflate(s->deflate, Z_NO_FLUSH);
    s->deflate->next_in = (unsigned char *)plan.message.p + STAMP;
    s->deflate->avail_in = (uInt)(plan.message.n - STAMP);
    deflate(s->deflate, Z_SYNC_FLUSH);
    size_t n = room - s->deflate->avail_out;
    if (s->deflate->avail_out == 0 || n < 4)
        die("a message could not be compressed");
    return n - 4; /* RFC 7692 §7.2.1: without the empty block's 00 00 ff ff */
}

/* Copies a part of the socket's message, which begins with its stamp. */
static void sock_copy(const sock *s, unsigned char *to, size_t at, size_t n)
{
    size_t stamped = at < STAMP ? STAMP - at : 0;
    if (stamped > n)
        stamped = n;
    memcpy(to, s->stamp + (stamped ? at : 0), stamped);
    memcpy(to + stamped, plan.message.p + at + stamped, n - stamped);
}

/* Appends the frames of the message, which is not compressed. */
static void sock_frames(sock *s)
{
    size_t each = plan.message.n / plan.fragments, at = 0;
    for (unsigned i = 1; i <= plan.fragments; i++) {
        size_t n = i == plan.fragments ? plan.message.n - at : each;
        sock_copy(s, s->out + s->out_size + FRAME_HEAD, at, n);
        sock_frame(s, (i == plan.fragments ? FIN : 0U) | (i == 1 ? OP_TEXT : OP_CONTINUATION), n);
        at += n;
    }
}

/* Sends the socket's message. */
static void sock_send(sock *s)
{
    size_t n = plan.message.n, room = plan.deflate ? compressBound((uLong)n) + 64 : n;
    sock_reserve(s, (size_t)FRAME_HEAD * plan.fragments + room + PONGS);
    if (plan.deflate) {
        n = sock_compress(s, s->stamp, s->out + s->out_size + FRAME_HEAD, room);
        sock_frame(s, FIN | OP_TEXT | COMPRESSED, n);
    } else {
        sock_frames(s);
    }
    sock_write(s);
}

/* A message with this stamp is to come to the socket. */
static void sock_expect(sock *s, unsigned sender, uint64_t started)
{
    snprintf(s->stamp, sizeof s->stamp, "%08x%08x", sender, serial);
    s->waiting = true;
    s->started = started;
    s->checked = 0;
}

/* Sends the next message, unless the phase has issued enough. */
static void issue(sock *s)
{
    uint64_t now = now_ns();
    if (phase_allows(1, now) == 0)
        return;
    phase.issued++;
    serial++;
    if (plan.broadcast)
        for (unsigned i = 0; i < task.connections; i++)
            sock_expect(&socks[i], s->index, now);
    else
        sock_expect(s, s->index, now);
    to_come = task.connections;
    sock_send(s);
}

/* Compares bytes of a message with what is expected at that place. */
static void sock_compare(sock *s, const unsigned char *p, size_t n)
{
    if (n > plan.message.n - s->checked)
        die("a message of more than %zu bytes", plan.message.n);
    size_t stamped = s->checked < STAMP ? STAMP - s->checked : 0;
    if (stamped > n)
        stamped = n;
    if (memcmp(p, s->stamp + (stamped ? s->checked : 0), stamped)
        || memcmp(p + stamped, plan.message.p + s->checked + stamped, n - stamped))
        die("a wrong message near byte %zu", s->checked);
    s->checked += n;
}

/* Inflates bytes of a message and compares what becomes of them. */
static void sock_inflate(sock *s, const unsigned char *p, size_t n)
{
    static unsigned char buffer[65536];
    z_stream *stream = s->inflate;
    if (!stream) {
        stream = s->inflate = calloc(1, sizeof *stream);
        if (!stream || inflateInit2(stream, -WINDOW))
            die("out of memory");
    }
    stream->next_in = (unsigned char *)p;
    stream->avail_in = (uInt)n;
    do {
        stream->next_out = buffer;
        stream->avail_out = sizeof buffer;
        int status = inflate(stream, Z_SYNC_FLUSH);
        if (status != Z_OK && status != Z_BUF_ERROR)
            die("a message that cannot be inflated: %s", stream->msg ? stream->msg : "it ends early");
        sock_compare(s, buffer, sizeof buffer - stream->avail_out);
    } while (stream->avail_out == 0);
}

/* The message has come: it must be complete. */
static void sock_complete(sock *s)
{
    static const unsigned char tail[] = { 0, 0, 0xff, 0xff };
    if (s->inflating)
        sock_inflate(s, tail, sizeof tail);
    if (s->checked != plan.message.n)
        die("a message of %zu bytes, not %zu", s->checked, plan.message.n);
    s->waiting = s->in_message = false;
    if (!plan.broadcast || --to_come == 0)
        phase_answer(s->started);
}

/* A control frame is there: a ping is answered, a close is wrong. */
static void sock_control(sock *s)
{
    unsigned opcode = s->frame.first & OPCODE;
    if (opcode == OP_CLOSE)
        die("the socket was closed with %u: %.*s",
            s->frame.control_size < 2 ? 1005U : (unsigned)(s->frame.control[0] << 8 | s->frame.control[1]),
            s->frame.control_size < 2 ? 0 : (int)s->frame.control_size - 2, s->frame.control + 2);
    if (opcode != OP_PING)
        return;
    sock_reserve(s, FRAME_HEAD + CONTROL_MAX);
    memcpy(s->out + s->out_size + FRAME_HEAD, s->frame.control, s->frame.control_size);
    sock_frame(s, FIN | OP_PONG, s->frame.control_size);
    sock_write(s);
}

/* The payload of a frame is complete. */
static void sock_end_frame(sock *s)
{
    if (s->frame.first & 8)
        sock_control(s);
    else if (s->frame.first & FIN)
        sock_complete(s);
    s->frame.head_size = 0;
}

/* Checks the head of a frame of a message. */
static void sock_begin_data(sock *s)
{
    unsigned first = s->frame.first, opcode = first & OPCODE;
    if (!s->waiting)
        die("a message that was not asked for");
    if (opcode != (s->in_message ? OP_CONTINUATION : OP_TEXT))
        die("a frame with the opcode %u", opcode);
    if (first & COMPRESSED && (s->in_message || !plan.deflate))
        die("a frame that may not be compressed");
    if (!s->in_message)
        s->inflating = first & COMPRESSED;
    s->in_message = true;
}

/* Checks a complete head. */
static void sock_begin_frame(sock *s)
{
    frame *f = &s->frame;
    unsigned size = f->head[1];
    f->first = f->head[0];
    if (size & MASKED || f->first & RESERVED)
        die("a frame that is masked or has a reserved bit");
    f->left = size;
    if (size >= 126) {
        f->left = 0;
        for (unsigned i = 2; i < f->head_size; i++)
            f->left = f->left << 8 | f->head[i];
    }
    if (!(f->first & 8))
        sock_begin_data(s);
    else if (f->left > CONTROL_MAX || !(f->first & FIN) || (f->first & OPCODE) > OP_PONG)
        die("a wrong control frame");
    f->control_size = 0;
}

/* How long the head of a frame is, as far as it is known. */
static unsigned head_length(const frame *f)
{
    unsigned length = f->head_size < 2 ? 0 : f->head[1] & 127;
    return length < 126 ? 2 : length == 126 ? 4 : 10;
}

/* Takes bytes of a frame's head; returns how many. */
static size_t sock_take_head(sock *s, const unsigned char *p, size_t n)
{
    frame *f = &s->frame;
    size_t taken = 0;
    while (f->head_size < head_length(f) && taken < n)
        f->head[f->head_size++] = p[taken++];
    if (f->head_size < head_length(f))
        return taken;
    sock_begin_frame(s);
    f->head_size = sizeof f->head + 1; /* the payload is next */
    if (f->left == 0)
        sock_end_frame(s);
    return taken;
}

/* Takes bytes of a frame's payload; returns how many. */
static size_t sock_take_payload(sock *s, const unsigned char *p, size_t n)
{
    frame *f = &s->frame;
    size_t taken = n < f->left ? n : (size_t)f->left;
    if (f->first & 8) {
        memcpy(f->control + f->control_size, p, taken);
        f->control_size += (unsigned)taken;
    } else if (s->inflating) {
        sock_inflate(s, p, taken);
    } else {
        sock_compare(s, p, taken);
    }
    f->left -= taken;
    if (f->left == 0)
        sock_end_frame(s);
    return taken;
}

/* Reads and checks what has arrived; a message that is complete is followed by the next. */
static void sock_read(sock *s)
{
    static unsigned char buffer[READ_MAX];
    ssize_t n = recv(s->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0)
        die("recv: %s", strerror(errno));
    if (n == 0)
        die("the connection was closed");
    phase.bytes += (uint64_t)n;
    bool waited = s->waiting;
    for (size_t at = 0; at < (size_t)n;) {
        size_t left = (size_t)n - at;
        at += s->frame.head_size > sizeof s->frame.head ? sock_take_payload(s, buffer + at, left)
                                                        : sock_take_head(s, buffer + at, left);
    }
    if (waited && !s->waiting && !plan.broadcast)
        issue(s);
    else if (waited && !s->waiting && to_come == 0)
        issue(&socks[0]);
}

/* Waits for events so long and deals with them; returns how many there were. */
static int turn(int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(epoll_fd, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < n; i++) {
        sock *s = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            sock_write(s);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            sock_read(s);
    }
    return n;
}

/* Runs one phase to its end: every message that was sent has come back. */
static void phase_run(uint64_t requests, double seconds)
{
    phase_begin(requests, seconds);
    for (unsigned i = 0; i < (plan.broadcast ? 1 : task.connections); i++)
        issue(&socks[i]);
    while (phase.answered < phase.issued)
        if (turn(SILENCE_MS) == 0)
            die("silence with %llu messages to come", (unsigned long long)(phase.issued - phase.answered));
}

/* Waits for a line of the caller; meanwhile sockets stay open, and pings are answered. */
static void gate_wait_open(void)
{
    struct pollfd both[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = epoll_fd, .events = POLLIN } };
    while (poll(both, 2, -1) > 0 && !both[0].revents)
        turn(0);
    gate_wait();
}

/* The value of a head's field, up to the end of its line; NULL when it has none. `name` ends with a colon. */
static const char *field(const char *head, const char *name)
{
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (!strncasecmp(line, name, strlen(name)))
            return line + strlen(name) + strspn(line + strlen(name), " ");
    }
    return NULL;
}

/* The number behind a parameter's name in the agreed extension; `none` when it is not there. */
static int parameter(const char *agreed, const char *name, int none)
{
    const char *end = strstr(agreed, "\r\n"), *found = strstr(agreed, name);
    if (!found || found > end)
        return none;
    found += strlen(name);
    return *found == '=' ? (int)strtol(found + 1 + (found[1] == '"'), NULL, 10) : 1;
}

/* Checks the answer to the handshake, a string that ends with its head. */
static void sock_check_head(sock *s, const char *head)
{
    const char *accept = field(head, "sec-websocket-accept:"), *agreed = field(head, "sec-websocket-extensions:");
    size_t n = strlen(plan.accept);
    if (strncmp(head, "HTTP/1.1 101 ", 13))
        die("not a handshake: %.*s", (int)strcspn(head, "\r"), head);
    if (!accept || strncmp(accept, plan.accept, n) || accept[n] != '\r')
        die("a wrong Sec-WebSocket-Accept");
    if (!plan.deflate && agreed)
        die("an extension that was not offered");
    if (!plan.deflate)
        return;
    if (!agreed || strncmp(agreed, "permessage-deflate", 18))
        die("permessage-deflate was not agreed to");
    s->restarts = parameter(agreed, "client_no_context_takeover", 0);
    s->window = parameter(agreed, "client_max_window_bits", WINDOW);
}

/* Opens a socket: the handshake is made before the next one begins. */
static void sock_open(sock *s, unsigned index)
{
    char head[HEAD_MAX + 1];
    size_t size = 0;
    s->index = index;
    s->fd = connect_to(task.port);
    struct timeval patience = { .tv_sec = SILENCE_MS / 1000 };
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience)
        || send(s->fd, task.request.p, task.request.n, MSG_NOSIGNAL) != (ssize_t)task.request.n)
        die("send: %s", strerror(errno));
    do {
        ssize_t n = recv(s->fd, head + size, HEAD_MAX - size, 0);
        if (n <= 0)
            die("no answer to handshake %u", index);
        size += (size_t)n;
        head[size] = 0;
    } while (!strstr(head, "\r\n\r\n"));
    if (strstr(head, "\r\n\r\n") + 4 != head + size)
        die("bytes after the handshake");
    sock_check_head(s, head);
    make_nonblocking(s->fd);
    watch(EPOLL_CTL_ADD, s->fd, s, s->blocked);
}

static const struct option option_table[] = {
    TASK_OPTIONS,
    { "accept", required_argument, NULL, 'a' },
    { "message", required_argument, NULL, 'm' },
    { "fragments", required_argument, NULL, 'f' },
    { "deflate", no_argument, NULL, 'D' },
    { "fresh", no_argument, NULL, 'F' },
    { "broadcast", no_argument, NULL, 'B' },
    { NULL, 0, NULL, 0 },
};

/* Stores one option of the command line. */
static void plan_set(int option, const char *value)
{
    switch (option) {
    case 'a':
        plan.accept = value;
        break;
    case 'm':
        plan.message = read_file(value);
        break;
    case 'f':
        plan.fragments = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'D':
        plan.deflate = true;
        break;
    case 'F':
        plan.fresh = true;
        break;
    case 'B':
        plan.broadcast = true;
        break;
    }
}

/* Reads the command line; what cannot be run ends the program. */
static void plan_read(int argc, char **argv)
{
    task_read(argc, argv, option_table, plan_set);
    if (!plan.accept || plan.message.n < STAMP)
        die("--accept is needed, and --message, of at least %d bytes", STAMP);
    if (plan.fragments == 0 || plan.fragments > plan.message.n || (plan.fragments > 1 && plan.deflate))
        die("--fragments is 1 to the message's bytes, and more than 1 does not go with --deflate");
    if (plan.fresh && !plan.deflate)
        die("--fresh goes with --deflate");
}

int main(int argc, char **argv)
{
    plan_read(argc, argv);
    socks = task_open(sizeof *socks);
    for (unsigned i = 0; i < task.connections; i++)
        sock_open(&socks[i], i);
    task_run(phase_run, gate_wait_open);
    return 0;
}
