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
        .linger_ms = 2000,
    };
}
