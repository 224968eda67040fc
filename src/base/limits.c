#include "base/limits.h"

void tri_limits_default(tri_limits *limits)
{
    *limits = (tri_limits){
        .request_line = 16384,
        .head = 65536,
        .fields = 100,
        .trailers = 8192,
        .chunk_ext = 4096,
        .body = 0,
        .body_buffer = 65536,
        .send_high = 262144,
        .send_low = 65536,
        .connections = 0,
        .exchanges = 0,
        .first_head_ms = 30000,
        .head_ms = 20000,
        .keep_alive_ms = 5000,
        .body_ms = 30000,
        .body_rate = 128,
        .write_ms = 30000,
        .request_ms = 0,
        .drain = 65536,
        .ws_message = 16777216,
        .ws_fragments = 131072,
        .ws_controls = 1000,
        .ws_queue = 32,
        .ws_queue_bytes = 1048576,
        .ws_ping_ms = 20000,
        .ws_pong_ms = 20000,
        .ws_handshake_ms = 0,
        .ws_close_ms = 10000,
        .linger_ms = 2000,
    };
}
