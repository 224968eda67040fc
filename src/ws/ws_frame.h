/* Frames on the wire (RFC 6455 §5.2): those that a server writes, and the payload of close frames. */
#ifndef TRI_WS_WS_FRAME_H
#define TRI_WS_WS_FRAME_H

#include "base/chain.h"
#include "base/error.h"
#include "base/span.h"

/* The first byte's bits and opcodes, and the second's mask bit. */
enum tri_ws_frame {
    TRI_WS_FRAME_CONTINUATION = 0,
    TRI_WS_FRAME_TEXT = 1,
    TRI_WS_FRAME_BINARY = 2,
    TRI_WS_FRAME_CLOSE = 8,
    TRI_WS_FRAME_PING = 9,
    TRI_WS_FRAME_PONG = 10,
    TRI_WS_FRAME_RSV1 = 0x40, /* the message is compressed (RFC 7692 §6) */
    TRI_WS_FRAME_FIN = 0x80,
    TRI_WS_FRAME_MASK = 0x80,
};

/* Bytes of a frame's head that is not masked, at most; payloads from this size on are borrowed. */
enum { TRI_WS_FRAME_HEAD = 10, TRI_WS_FRAME_BORROW = 1024 };

/* Writes the head of a frame with a payload of `n` bytes; returns its length. */
size_t tri_ws_frame_head(unsigned char head[TRI_WS_FRAME_HEAD], unsigned first, size_t n);
/* Appends a frame. The loan is taken as in submit_message of ws/protocol.h. TRI_ENOMEM leaves the chain as it was, and
   the loan the caller's. */
TRI_NODISCARD int tri_ws_frame_write(tri_chain *out, tri_chain_pool *chains, unsigned first, const tri_loan *loan);
/* Reads a close frame's payload: 0, or the code of what is wrong with it. `*reason` lies within it. */
int tri_ws_frame_read_close(tri_span payload, int *code, tri_span *reason);
/* Writes a close frame's payload, of at most TRI_WS_CONTROL_MOST bytes; returns its length. */
size_t tri_ws_frame_put_close(char *payload, int code, tri_span reason);
/* Whether a close frame may carry the code (RFC 6455 §7.4). */
bool tri_ws_frame_code_ok(int code);

#endif
