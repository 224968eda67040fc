/* A chunked body: the input follows a head that announces one. */
#include "fuzz_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tri_limits limits;
    tri_limits_default(&limits);
    fuzz_input in = { data, size };
    unsigned choice = fuzz_byte(&in);
    if (choice & 1) {
        limits.body = 16;
        limits.chunk_ext = 8;
        limits.trailers = 24;
    }
    tri_span parts[] = {
        TRI_SPAN("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
        { (const char *)in.p, in.n },
    };
    const record *seen = fuzz_all_cuts(&limits, fuzz_join(parts, 2), choice);
    HOLDS(strncmp(seen->log, "POST / ", 7) == 0);
    return 0;
}
