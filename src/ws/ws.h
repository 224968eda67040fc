/* WebSocket frames in C (RFC 6455, RFC 7692), server side, sans-I/O, behind ws/protocol.h. */
#ifndef TRI_WS_WS_H
#define TRI_WS_WS_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "ws/protocol.h"
#include "ws/ws_deflate.h"
#include "ws/ws_utf8.h"

/* What the sockets of one worker share. */
typedef struct tri_ws_shared {
    const tri_mem *mem;
    const tri_limits *limits;
    tri_chain_pool *chains;
    tri_ws_deflate_shared deflate;
    size_t inflated; /* bytes that messages have come to since the owner last set it to 0 */
} tri_ws_shared;

/* One socket's state, embedded; between messages it holds no memory but what its compression keeps. */
typedef struct tri_ws {
    tri_ws_protocol protocol;
    /* private */
    tri_ws_shared *shared;
    tri_ws_message *message; /* that is being received, or is about to be handed over */
    tri_buf control;         /* a control frame's payload that came in pieces */
    tri_span payload;        /* of the pending event */
    uint64_t left;           /* bytes of the frame's payload that are to come */
    uint64_t at;             /* bytes of it that have come */
    uint64_t wire;           /* bytes of a compressed message on the wire, so far and announced */
    uint32_t frames;         /* of the message, so far */
    uint32_t key;            /* that masks the frame, as it stands on the wire */
    uint16_t code;           /* of the pending event */
    uint8_t state;
    uint8_t pending; /* enum tri_ws_event_type */
    uint8_t first;   /* the frame's first byte */
    uint8_t flags;
    uint8_t head_n;
    unsigned char head[14]; /* of the frame, as far as it has come */
    tri_ws_utf8 utf8;
    tri_ws_deflate deflate;
} tri_ws;

/* `mem`, `limits`, `chains` and `options` are borrowed for its life. No allocation. */
void tri_ws_shared_init(tri_ws_shared *shared, const tri_mem *mem, const tri_limits *limits, tri_chain_pool *chains,
                        const tri_ws_deflate_options *options);
void tri_ws_shared_fini(tri_ws_shared *shared);

/* Makes `self` ready for a new socket; no allocation. `shared` is borrowed for its life. */
void tri_ws_init(tri_ws *self, tri_ws_shared *shared);

#endif
