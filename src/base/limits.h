/* Every limit and deadline of the server in one struct, each with the attack that it stops. */
#ifndef TRI_BASE_LIMITS_H
#define TRI_BASE_LIMITS_H

#include <stdint.h>

typedef struct tri_limits {
    uint32_t request_line;  /* bytes; an endless target: 414 */
    uint32_t head;          /* bytes of request line and field lines; an endless head: 431 */
    uint32_t fields;        /* field lines; hash and list floods: 431 */
    uint32_t trailers;      /* bytes of a trailer section; endless trailers: 431 */
    uint32_t chunk_ext;     /* bytes of chunk extensions in one body; bytes that never become data: 400 */
    uint64_t body;          /* bytes of a request body, 0 for no limit; filling a disk or memory: 413 */
    uint32_t body_buffer;   /* bytes of body that wait for receive() before reading pauses; memory */
    uint32_t send_high;     /* bytes that wait for a slow reader before send() suspends; memory */
    uint32_t send_low;      /* bytes left when send() goes on */
    uint32_t connections;   /* open connections, 0 for no limit; descriptors and memory: 503 */
    uint32_t exchanges;     /* exchanges in the application at once, 0 for no limit: 503 */
    uint32_t first_head_ms; /* from connect to the end of the first head; silence: closed, 408 once a byte came */
    uint32_t handshake_ms;  /* from connect to the end of the TLS handshake; peers that never finish it: closed */
    uint32_t head_ms;       /* from a head's first byte to its end, not restarted by a byte; slowloris: 408 */
    uint32_t keep_alive_ms; /* idle between exchanges; parked connections: closed */
    uint32_t body_ms;       /* without a byte of a body that receive() waits for; stalled uploads: 408 */
    uint32_t body_rate;     /* bytes a second, over body_ms, of a body that is waited for, 0: any; dribbling: 408 */
    uint32_t write_ms;      /* without the peer taking a byte of an answer; stalled readers: closed */
    uint32_t request_ms;   /* from a head's end to the answer's, 0 for no limit; requests without end: cancelled, 504 */
    uint32_t drain;        /* bytes of an unread body that are dropped to keep the connection; else it is closed */
    uint32_t ws_message;   /* bytes of a WebSocket message, inflated; memory, decompression bombs: 1009 */
    uint32_t ws_fragments; /* frames of a message, 0 for no limit; frames without end, of no bytes: 1008 */
    uint32_t ws_controls;  /* control frames a second, 0 for no limit; ping floods: 1008 */
    uint32_t ws_queue;     /* messages that wait for receive() before reading pauses; memory */
    uint32_t ws_queue_bytes;       /* and their bytes */
    uint32_t ws_ping_ms;           /* between our pings, 0 for none; half-open peers */
    uint32_t ws_pong_ms;           /* from a ping to its pong, 0 for no limit: 1011 */
    uint32_t ws_handshake_ms;      /* from the request to accept or close, 0 for no limit: 504 */
    uint32_t ws_close_ms;          /* from our close frame to the peer's; peers that never finish the close: closed */
    uint32_t h2_streams;           /* open at once on a connection; floods of requests: refused */
    uint32_t h2_window;            /* bytes of a request body that nobody has taken; memory */
    uint32_t h2_connection_window; /* and of all bodies of a connection */
    uint32_t h2_frame;             /* bytes of a frame; memory: FRAME_SIZE_ERROR */
    uint32_t h2_resets;         /* here and below, in a second, 0 for no limit: streams that are reset; rapid reset */
    uint32_t h2_pings;          /* PING frames; ping floods */
    uint32_t h2_settings;       /* SETTINGS frames; settings floods */
    uint32_t h2_empty;          /* frames without content that end nothing; floods of those */
    uint32_t h2_small;          /* DATA frames of a few bytes, heads of streams that have begun; the same, disguised */
    uint32_t h2_priorities;     /* PRIORITY and PRIORITY_UPDATE frames; work for nothing */
    uint32_t h2_window_updates; /* WINDOW_UPDATE frames beyond those that our DATA frames account for; the same */
    uint32_t h2_unknown;        /* frames of types that ask for nothing; the same */
    uint32_t h2_continuations;  /* CONTINUATION frames of a head, 0 for no limit; heads without end */
    uint32_t h2_queue;          /* frames that wait, beside those of answers; peers that ask and do not read */
    uint32_t linger_ms;         /* how long a closing side reads on so that no reset eats the answer */
} tri_limits;

/* The defaults, as documented in docs/limits.md. */
void tri_limits_default(tri_limits *limits);

#endif
