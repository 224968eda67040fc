/* The seam between an exchange that has become a WebSocket and whatever reads and writes its frames: the shape of
   http/protocol.h. Events are pulled; nothing is called back from inside a parse. */
#ifndef TRI_WS_PROTOCOL_H
#define TRI_WS_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chain.h"
#include "base/error.h"
#include "base/span.h"
#include "ws/ws_message.h"

/* Close codes of RFC 6455 §7.4.1 and its registry. */
enum tri_ws_code {
    TRI_WS_NORMAL = 1000,
    TRI_WS_PROTOCOL_ERROR = 1002,
    TRI_WS_NO_STATUS = 1005, /* never sent: the close frame had no code */
    TRI_WS_ABNORMAL = 1006,  /* never sent: the connection ended without a close frame */
    TRI_WS_INVALID_DATA = 1007,
    TRI_WS_POLICY = 1008,
    TRI_WS_TOO_BIG = 1009,
    TRI_WS_INTERNAL = 1011,
    TRI_WS_RESTART = 1012,
};

/* Bytes of a control frame's payload, and of a close frame's reason, at most (RFC 6455 §5.5). */
enum { TRI_WS_CONTROL_MOST = 125, TRI_WS_REASON_MOST = 123 };

enum tri_ws_event_type {
    TRI_WS_EVENT_NONE,    /* more bytes are needed */
    TRI_WS_EVENT_MESSAGE, /* a whole message */
    TRI_WS_EVENT_PING,
    TRI_WS_EVENT_PONG,
    TRI_WS_EVENT_CLOSE, /* the peer's close frame; nothing after it is read */
    TRI_WS_EVENT_FAIL,  /* the peer broke the protocol or a limit: close with `code`; nothing after it is read */
};

typedef struct tri_ws_event {
    enum tri_ws_event_type type;
    tri_ws_message *message; /* MESSAGE: the caller's from now on */
    tri_span payload;        /* PING, PONG: its bytes; CLOSE: the reason, UTF-8; FAIL: what to tell the peer,
                                static and terminated. Borrowed until the next call of recv or fini */
    int code;                /* CLOSE (TRI_WS_NO_STATUS when it had none) and FAIL: enum tri_ws_code */
} tri_ws_event;

enum tri_ws_data { TRI_WS_BINARY, TRI_WS_TEXT };

/* What a handshake agrees on beside the protocol itself. */
enum { TRI_WS_ANSWER_MOST = 256 };

typedef struct tri_ws_protocol tri_ws_protocol;

/* Every call returns 0 (or a count) or a negative TRI_E… . `out` is the chain that the bytes are appended to; on errors
   it is as it was. After TRI_ENOMEM the socket can only be closed. TRI_EPROTO: what makes the frames has failed, and is
   good for nothing but a close frame; TRI_ECLOSED: it had before. */
typedef struct tri_ws_ops {
    const char *name;
    /* Reads one Sec-WebSocket-Extensions field of the request and, when it agrees to an offer of it, writes the field's
       value for the answer: its length, at most TRI_WS_ANSWER_MOST; 0 when it agrees to none. Called before recv; not
       again once it has agreed. */
    ptrdiff_t (*negotiate)(tri_ws_protocol *self, tri_span offers, char *answer);
    /* Takes up to `n` bytes and returns how many; stops early where an event is ready. The bytes stay the caller's,
       must live until next_event has returned NONE or the next recv, and are changed in place. */
    ptrdiff_t (*recv)(tri_ws_protocol *self, char *bytes, size_t n);
    void (*next_event)(tri_ws_protocol *self, tri_ws_event *event);
    /* One message in one frame. The loan is taken as in submit_body of http/protocol.h: copied when its `release` is
       NULL or when it is short, then released at once. TRI_EINVAL: it cannot be sent so. */
    int (*submit_message)(tri_ws_protocol *self, tri_chain *out, const tri_loan *loan, enum tri_ws_data data);
    /* A ping or pong of at most TRI_WS_CONTROL_MOST bytes. */
    int (*submit_ping)(tri_ws_protocol *self, tri_chain *out, tri_span payload);
    int (*submit_pong)(tri_ws_protocol *self, tri_chain *out, tri_span payload);
    /* A close frame; without a code when it is TRI_WS_NO_STATUS. `reason` has at most TRI_WS_REASON_MOST bytes. */
    int (*submit_close)(tri_ws_protocol *self, tri_chain *out, int code, tri_span reason);
    /* The window, in bits, that a message of `n` bytes may be compressed with for many sockets at once; 0: it is to be
       sent as it is; -1: it cannot be shared, submit_message is to be called. A message that was compressed with a
       smaller window is fine, too. */
    int (*shares)(const tri_ws_protocol *self, size_t n);
    /* A message in one frame that is made already, compressed by itself as `shares` says or not at all. The loan is
       taken as in submit_message. */
    int (*submit_shared)(tri_ws_protocol *self, tri_chain *out, const tri_loan *frame, bool compressed);
    /* Gives all memory back; also between recv and next_event, and within what a call of it runs. From then on it takes
       bytes, gives no events, and appends nothing to a chain. */
    void (*fini)(tri_ws_protocol *self);
} tri_ws_ops;

/* First member of every such protocol's struct. */
struct tri_ws_protocol {
    const tri_ws_ops *ops;
};

#endif
