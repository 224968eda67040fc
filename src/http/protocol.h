/* The seam between a protocol and the server. A protocol is sans-I/O: bytes in, events out, answers in, output chain
   out. HTTP/1.1, HTTP/2 and parsers written in Python sit on it. Nothing above asks which one runs. */
#ifndef TRI_HTTP_PROTOCOL_H
#define TRI_HTTP_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chain.h"
#include "base/error.h"
#include "base/span.h"
#include "http/head.h"

enum tri_event_type {
    TRI_EVENT_NONE,   /* nothing until more bytes come, or until the answer in progress is complete */
    TRI_EVENT_HEAD,   /* a request's head; flag TRI_HEAD_BODY says whether BODY and END follow */
    TRI_EVENT_BODY,   /* decoded bytes of the body, borrowed from the bytes handed to recv */
    TRI_EVENT_END,    /* the body is complete; trailers, if any, were checked and dropped */
    TRI_EVENT_REJECT, /* the peer broke a rule or a limit; nothing after it, of the stream if there are any, is parsed.
                         With status 0 the whole connection is given up, and what is to be said of it is in the chain */
    TRI_EVENT_RESET,  /* the peer has given this stream up; others go on */
};

typedef struct tri_event {
    enum tri_event_type type;
    uint32_t stream;    /* 0 in HTTP/1.1 */
    void *user;         /* what `attach` has given the stream; NULL before, and where there is no `attach` */
    tri_head *head;     /* HEAD: valid until the next call of next_event or fini, or any connection's recv */
    tri_span body;      /* BODY */
    int status;         /* REJECT: 400, 413, 414, 417, 431, 501 or 505; or 0, see above */
    const char *reason; /* REJECT: what was wrong, for the log; static storage */
} tri_event;

/* One field line of an answer. */
typedef struct tri_field_out {
    tri_span name;
    tri_span value;
} tri_field_out;

/* The head of an answer. All spans are borrowed for the call. */
typedef struct tri_response {
    int status; /* 200 to 999 (final) */
    const tri_field_out *fields;
    size_t n_fields;
    tri_span date;     /* ready lines, each with its CRLF ("date: ...\r\n"); n == 0 for none */
    tri_span server;   /* `date` and `server` are left out when `fields` holds that field */
    tri_span defaults; /* the operator's own lines, always sent */
    tri_span extra;    /* further lines, of a refusal */
    bool close;        /* this connection is to end after the answer; on a stream it means nothing */
} tri_response;

enum tri_protocol_state {
    TRI_PROTOCOL_IDLE = 1,    /* between exchanges: no byte of a request is pending, no answer is owed */
    TRI_PROTOCOL_IN_HEAD = 2, /* part of a head has arrived */
    TRI_PROTOCOL_IN_BODY = 4, /* a request body is not complete */
    TRI_PROTOCOL_PAUSED = 8,  /* recv consumes nothing until the answer in progress is complete (pipelining) */
    TRI_PROTOCOL_CLOSE = 16,  /* close once the output chain is written: no further request will be read */
    TRI_PROTOCOL_HELD = 32,   /* the head of an answer was submitted and still may be taken back: do not write it yet */
    TRI_PROTOCOL_LINGER = 64, /* with CLOSE: the peer may still be sending; read on for a while before closing */
    TRI_PROTOCOL_AHEAD = 128, /* bytes of a further request were taken: ask for events once the answer is complete */
    TRI_PROTOCOL_READY = 256, /* with AHEAD: there is an event of it */
    TRI_PROTOCOL_FAILED = 512, /* of streams: memory ran out, and what is at work cannot be answered any more */
};

/* Why a stream is ended. */
enum tri_reset {
    TRI_RESET_DONE,    /* its answer is complete, and no more of its request is wanted */
    TRI_RESET_FAILED,  /* its answer cannot be completed */
    TRI_RESET_REFUSED, /* nothing of its request was looked at: the client may send it again */
    TRI_RESET_CANCEL,  /* it is not wanted any more: it came too slowly, or there was too much of it */
};

typedef struct tri_protocol tri_protocol;

/* Every call returns 0 (or a count) or a negative TRI_E… . After TRI_ENOMEM the connection can only be closed. */
typedef struct tri_protocol_ops {
    const char *name;
    /* Takes up to `n` bytes and returns how many; stops early where an event is ready or the protocol is paused. The
       bytes stay the caller's, must live until next_event has returned NONE or the next recv, and may be changed in
       place (names are lower-cased). */
    ptrdiff_t (*recv)(tri_protocol *self, char *bytes, size_t n);
    /* The peer has ended its side: an unfinished head or body becomes a REJECT (400). */
    int (*recv_eof)(tri_protocol *self);
    /* The next event; TRI_EVENT_NONE when there is none. */
    void (*next_event)(tri_protocol *self, tri_event *event);
    /* The application has taken `n` bytes of a body, so that the peer may send as many more. NULL where the socket's
       own back-pressure does. TRI_ENOMEM. */
    int (*consumed)(tri_protocol *self, uint32_t stream, size_t n);
    /* Sends 100 Continue if the request asked for it, none was sent, and no answer has begun. */
    int (*submit_continue)(tri_protocol *self, uint32_t stream);
    /* The final head. Held back (state HELD) until the first submit_body decides the framing. TRI_EINVAL: a name,
       value or status that may not be sent, nothing was taken; TRI_ESTATE: a head was submitted already; TRI_ECLOSED,
       here and below: the stream is over. */
    int (*submit_head)(tri_protocol *self, uint32_t stream, const tri_response *response);
    /* Body bytes: copied when `loan->release` is NULL or when they are few (then it is released at once), else
       borrowed. `end` completes the answer. TRI_EINVAL: more than the Content-Length promised, or at the end less
       (nothing was taken); TRI_ESTATE: no head, or complete already. In answers that have no body (HEAD, 204, 304)
       bytes are dropped. */
    int (*submit_body)(tri_protocol *self, uint32_t stream, const tri_loan *loan, bool end);
    /* Takes back a head that is still HELD, so that another can be submitted. TRI_ESTATE when it is not. */
    int (*submit_rollback)(tri_protocol *self, uint32_t stream);
    /* Ends one stream, whose events are over with that, at once or (DONE) behind its answer; the others go on. NULL
       where a connection carries one exchange at a time, and only the connection can end. TRI_ENOMEM. */
    int (*reset)(tri_protocol *self, uint32_t stream, enum tri_reset why);
    /* Bytes of an answer that wait on its stream, beside those that `sendable` counts. NULL where there are none. */
    size_t (*waiting)(const tri_protocol *self, uint32_t stream);
    /* The stream whose peer has not let a byte of its output go for the longest time, and in `since` the clock's
       milliseconds at which the last one went; 0 when there is none. Who only waits for the socket does not count. NULL
       where there is but the socket. */
    uint32_t (*stalled)(tri_protocol *self, uint64_t *since);
    /* Has further events of the stream carry `user`, until another is given. NULL where events need none. */
    void (*attach)(tri_protocol *self, uint32_t stream, void *user);
    /* Has the request's connection, or its stream, carry another protocol from now on: the head of the answer that says
       so, with the response's fields but not its status (101 in HTTP/1.1, 200 on a stream), then whatever bytes either
       side sends; END, where there are streams, says that the peer has ended its side. They come as BODY events, and go
       into the chain that `tunnel` gives; submit_body with `end` ends our side. NULL where a protocol cannot. Errors as
       submit_head's; TRI_ESTATE: the request is none for it. */
    int (*submit_upgrade)(tri_protocol *self, uint32_t stream, const tri_response *response, tri_span name);
    /* The chain for bytes of an upgraded stream; to be asked for whenever bytes are put into it. NULL: it is over. */
    tri_chain *(*tunnel)(tri_protocol *self, uint32_t stream);
    /* What is to be written: a view of the protocol's own chain, which the caller consumes from. Only the first
       `sendable` bytes may be written: a head that is HELD may yet be taken back. */
    tri_chain *(*send)(tri_protocol *self);
    /* Output bytes that may be written now (all of the chain but a held head). */
    size_t (*sendable)(const tri_protocol *self);
    /* enum tri_protocol_state, or-ed. */
    unsigned (*state)(const tri_protocol *self);
    /* No further request is wanted: the next answers say so (Connection: close). In HTTP/2 the peer is told at once,
       and requests that are under way are still taken, until it has answered or this is called again. */
    void (*shutdown)(tri_protocol *self);
    /* Gives all memory back. */
    void (*fini)(tri_protocol *self);
} tri_protocol_ops;

/* First member of every protocol's struct. */
struct tri_protocol {
    const tri_protocol_ops *ops;
};

#endif
