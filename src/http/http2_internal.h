/* What the files of HTTP/2 share. */
#ifndef TRI_HTTP_HTTP2_INTERNAL_H
#define TRI_HTTP_HTTP2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/list.h"
#include "http/http2.h"

enum {
    TRI_HTTP2_OUT_HIGH = 1 << 16, /* bytes of frames that wait in the chain; the rest waits in the streams */
    TRI_HTTP2_FIELDS = 32,        /* of a head that needs no further memory */
    TRI_HTTP2_BYTES = 1280,       /* of the same */
    TRI_HTTP2_ENDED_KEPT = 16,    /* streams that are known to be ended by the peer */
    TRI_HTTP2_EARLY_MOST = 16384, /* bytes of a tunnel that may come before it is one */
    TRI_HTTP2_PATIENCE = 4,       /* times a head's limits, beyond which it is not even read any more */
};

/* `flags` of a connection. */
enum tri_http2_flag {
    TRI_HTTP2_FAILED = 1,     /* memory ran out: only closing is left */
    TRI_HTTP2_LEAVING = 2,    /* no further request is wanted, and the peer is told so */
    TRI_HTTP2_LAST = 4,       /* and which is the last that is served */
    TRI_HTTP2_EOF = 8,        /* the peer has ended its side */
    TRI_HTTP2_OVER = 16,      /* the session is: nothing is read any more */
    TRI_HTTP2_BUSY = 32,      /* nghttp2 is at work: what it may still look at is not freed */
    TRI_HTTP2_PAUSED = 64,    /* it was paused by bytes of a body */
    TRI_HTTP2_GIVEN_UP = 128, /* a REJECT event of the whole connection is pending */
};

/* `marks` of a stream. */
enum tri_http2_mark {
    TRI_HTTP2_HEAD = 1,  /* events that wait; they are given in this order */
    TRI_HTTP2_EARLY = 2, /* bytes of a tunnel that came before it was one */
    TRI_HTTP2_END = 4,
    TRI_HTTP2_REJECT = 8,
    TRI_HTTP2_RESET = 1 << 20,
    TRI_HTTP2_KNOWN = 16,       /* its HEAD event was given */
    TRI_HTTP2_CLOSED = 32,      /* nghttp2 has forgotten it */
    TRI_HTTP2_BODY = 64,        /* its request has a body that is not complete */
    TRI_HTTP2_DEAF = 128,       /* of which nobody is told any more */
    TRI_HTTP2_HELD = 256,       /* the head of its answer was submitted, and not yet given to nghttp2 */
    TRI_HTTP2_STARTED = 512,    /* it was */
    TRI_HTTP2_COMPLETE = 1024,  /* the end of its answer was submitted */
    TRI_HTTP2_NO_BODY = 2048,   /* its answer has none: bytes are dropped */
    TRI_HTTP2_PROMISED = 4096,  /* its answer has a content-length */
    TRI_HTTP2_IS_HEAD = 8192,   /* the method is HEAD */
    TRI_HTTP2_EXPECTS = 16384,  /* the peer waits for 100 Continue */
    TRI_HTTP2_DISMISS = 32768,  /* what is left of its request is not wanted once its answer is written */
    TRI_HTTP2_TUNNEL = 1 << 17, /* its request is an extended CONNECT */
    TRI_HTTP2_OPEN = 1 << 18,   /* which was accepted */
    TRI_HTTP2_ENDED = 65536,    /* the end of its answer is in the chain */
};

enum { TRI_HTTP2_EVENTS = TRI_HTTP2_HEAD | TRI_HTTP2_EARLY | TRI_HTTP2_END | TRI_HTTP2_REJECT | TRI_HTTP2_RESET };

/* A request's head while it comes, and until it was told. */
typedef struct tri_http2_room {
    tri_head head;
    char *bytes; /* that its slices reach: inline_bytes, or allocated */
    uint32_t size;
    uint32_t n;
    tri_slice scheme;
    tri_slice protocol; /* of an extended CONNECT */
    uint64_t decoded;   /* bytes of all fields, kept or not */
    uint32_t count;     /* of all fields */
    uint32_t cookies;
    bool expectation; /* one that is not known */
    tri_field fields[TRI_HTTP2_FIELDS];
    char inline_bytes[TRI_HTTP2_BYTES];
} tri_http2_room;

/* A request and its answer. */
typedef struct tri_http2_stream {
    tri_list link;    /* in core->streams, core->closed or core->dead */
    tri_list due;     /* in core->due while an event waits */
    tri_list wait;    /* in core->waiting while bytes do */
    tri_list touched; /* in core->touched when bytes may have been put into its chain by others */
    tri_buf early;    /* bytes of a tunnel that came before it was one */
    uint32_t id;
    uint32_t marks;              /* enum tri_http2_mark */
    void *user;                  /* of its events */
    tri_http2_room *room;        /* NULL once its head was told */
    struct tri_http2_held *held; /* the head of its answer, until it is written */
    tri_chain out;               /* of the answer's body */
    uint64_t promised;           /* bytes that the answer's content-length still asks for */
    uint64_t received;           /* bytes of the request's body */
    uint64_t trailers;           /* bytes of its trailers */
    uint64_t unread;             /* bytes of the body that were given and not taken */
    uint64_t moved;              /* ms: when its output last moved */
    const char *reason;          /* of the pending REJECT event */
    uint16_t reject;             /* and its status */
} tri_http2_stream;

/* What is counted of a peer's frames, by the second. */
enum tri_http2_budgeted {
    TRI_HTTP2_RESETS,
    TRI_HTTP2_PINGS,
    TRI_HTTP2_SETTINGS,
    TRI_HTTP2_EMPTY,
    TRI_HTTP2_SMALL,
    TRI_HTTP2_PRIORITIES,
    TRI_HTTP2_WINDOWS,
    TRI_HTTP2_UNKNOWN,
    TRI_HTTP2_BUDGETS, /* how many there are */
};

typedef struct tri_http2_budget {
    uint64_t since; /* ms: the second began */
    uint32_t spent[TRI_HTTP2_BUDGETS];
    uint32_t windows;                     /* WINDOW_UPDATE frames that our DATA frames have earned in it */
    uint32_t continuations;               /* of the head that comes */
    uint32_t last;                        /* the highest stream that was begun */
    uint32_t skipped;                     /* the highest that was not, though a higher one was; 0 for none */
    uint32_t skipped_from;                /* and the lowest of those next to it */
    uint32_t ended[TRI_HTTP2_ENDED_KEPT]; /* streams that the peer has ended last */
    uint32_t n_ended;                     /* how many it has ended, ever */
    uint32_t code;                        /* why the connection is to end */
    uint32_t left;                        /* bytes of the payload that is skipped */
    size_t ahead;                         /* bytes that were counted, and that nghttp2 has not taken yet */
    const char *over;                     /* what is too much */
    uint8_t n;                            /* bytes of the frame's head */
    uint8_t head[13];                     /* with the first four of its payload where they matter */
} tri_http2_budget;

/* What a connection needs once a byte has come. */
typedef struct tri_http2_core {
    const tri_mem *mem;
    tri_list blocks;   /* all memory of nghttp2's */
    tri_list streams;  /* those that nghttp2 knows */
    tri_list closed;   /* those that it has forgotten, and somebody else has not */
    tri_list due;      /* those with an event, in the order of the first one */
    tri_list waiting;  /* those whose output waits, in the order in which they moved */
    tri_list touched;  /* tunnels whose chain was asked for */
    tri_list dead;     /* to be freed once nghttp2 is not at work */
    uint32_t n_closed; /* how many are in `closed` */
    tri_http2_room *spare;
    tri_http2_stream *told; /* whose head was given last */
    tri_http2_stream *body_of;
    tri_span body;      /* of the pending BODY event */
    const char *reason; /* of the pending REJECT event of the connection */
    tri_http2_budget budget;
} tri_http2_core;

/* Whether `status` refuses the stream's request. */
static inline bool tri_http2_refused(const tri_http2_stream *stream)
{
    return stream->reject != 0;
}

/* http2_head.c */

/* Room for the head of a request that begins. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_head_begin(tri_http2 *self, tri_http2_stream *stream);
/* Takes one field of a request, pseudo-headers too. TRI_ENOMEM; TRI_EPROTO when the request is malformed; TRI_ELIMIT
   when there is so much of it that the connection had better end. What is only too much to be served refuses the
   stream. */
TRI_NODISCARD int tri_http2_head_add(tri_http2 *self, tri_http2_stream *stream, tri_span name, tri_span value);
/* The head is complete, with or without a body behind it; it may refuse the stream. TRI_ENOMEM, TRI_EPROTO. */
TRI_NODISCARD int tri_http2_head_end(tri_http2 *self, tri_http2_stream *stream, bool body);
/* Gives its memory back. */
void tri_http2_head_drop(tri_http2 *self, tri_http2_stream *stream);

/* http2_stream.c */

/* A stream that begins. NULL when memory is short. */
TRI_NODISCARD tri_http2_stream *tri_http2_stream_new(tri_http2 *self, uint32_t id);
/* The stream with that number, or NULL. */
tri_http2_stream *tri_http2_stream_find(const tri_http2 *self, uint32_t id);
/* Has an event given. */
void tri_http2_stream_tell(tri_http2 *self, tri_http2_stream *stream, unsigned mark);
/* Has its request refused: nothing more of it is told. */
void tri_http2_stream_refuse(tri_http2 *self, tri_http2_stream *stream, int status, const char *reason);
/* Gives back to the peer's window what nobody will take any more. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_stream_deafen(tri_http2 *self, tri_http2_stream *stream);
/* Its output waits, or has moved. */
void tri_http2_stream_moved(tri_http2 *self, tri_http2_stream *stream);
/* nghttp2 has forgotten it. */
void tri_http2_stream_closed(tri_http2 *self, tri_http2_stream *stream);
/* Nobody asks for it any more. */
void tri_http2_stream_kill(tri_http2 *self, tri_http2_stream *stream);
/* Whoever works on any of them is told that it is over. */
void tri_http2_stream_lose_all(tri_http2 *self);
/* Frees those that are dead, unless nghttp2 is at work. What they have borrowed is given back, which may run code that
   ends the connection. */
void tri_http2_stream_sweep(tri_http2 *self);
/* The next event of a stream, or NONE. */
void tri_http2_stream_event(tri_http2 *self, tri_event *event);

/* http2_session.c */

/* Makes the session and submits our SETTINGS. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_session_open(tri_http2 *self);
void tri_http2_session_fini(tri_http2 *self);
/* Gives bytes to nghttp2; returns how many it took. TRI_ENOMEM. */
TRI_NODISCARD ptrdiff_t tri_http2_session_recv(tri_http2 *self, const char *bytes, size_t n);
/* Has the connection end: with that code, and for a reason that the log is told unless it is NULL. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_session_end(tri_http2 *self, uint32_t code, const char *reason);

/* The peer has heard that no further request is wanted: it is told which was the last, if that is due. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_session_last(tri_http2 *self);

/* http2_output.c */

/* Moves frames that may be sent into the chain, up to a bound. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_output_pump(tri_http2 *self);
/* Where nghttp2 takes the bytes of an answer's body from. */
nghttp2_data_provider tri_http2_output_source(tri_http2_stream *stream);
/* nghttp2's callback for them. */
int tri_http2_output_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t n,
                          nghttp2_data_source *source, void *context);

/* http2_budget.c */

void tri_http2_budget_init(tri_http2_budget *budget);
/* Counts the frames in bytes that have come, of which the first may have been counted before. Returns how many bytes
   may be given to nghttp2, and in `over` why the connection is to end behind them (with budget.code), or NULL. */
size_t tri_http2_budget_scan(tri_http2 *self, const char *bytes, size_t n, const char **over);
/* nghttp2 has taken so many of them. */
void tri_http2_budget_took(tri_http2 *self, size_t n);
/* Counts one of a kind: NULL, or what there is too much of. */
const char *tri_http2_budget_spend(tri_http2 *self, enum tri_http2_budgeted kind);
/* A DATA frame of `n` bytes is in the chain. */
void tri_http2_budget_earn(tri_http2 *self, size_t n);

/* http2_answer.c */

int tri_http2_answer_continue(tri_protocol *protocol, uint32_t stream);
int tri_http2_answer_head(tri_protocol *protocol, uint32_t stream, const tri_response *response);
int tri_http2_answer_body(tri_protocol *protocol, uint32_t stream, const tri_loan *loan, bool end);
int tri_http2_answer_rollback(tri_protocol *protocol, uint32_t stream);
int tri_http2_answer_upgrade(tri_protocol *protocol, uint32_t stream, const tri_response *response, tri_span name);
tri_chain *tri_http2_answer_tunnel(tri_protocol *protocol, uint32_t stream);
/* Has nghttp2 come for bytes that were put into the chains of tunnels. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_answer_touch(tri_http2 *self);
int tri_http2_answer_reset(tri_protocol *protocol, uint32_t stream, enum tri_reset why);
/* The end of an answer is in the chain, and its request is not complete. TRI_ENOMEM. */
TRI_NODISCARD int tri_http2_answer_ended(tri_http2 *self, tri_http2_stream *stream);
/* Gives the memory of a head back. */
void tri_http2_answer_drop(tri_http2 *self, tri_http2_stream *stream);

#endif
