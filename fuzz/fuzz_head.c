/* A request's head: the input is what a peer sends first. However it is cut, the same is read; what is accepted is as
   strict as RFC 9112 wants it. */
#include "fuzz_http.h"

/* The head that was read, one line of it after another, holds no byte that may not be there. */
static void check_lines(const record *seen)
{
    for (size_t i = 0; i < seen->log_n; i++) {
        unsigned char c = (unsigned char)seen->log[i];
        HOLDS((c >= 0x20 && c != 0x7f) || c == '\t' || c == '\n');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tri_limits limits;
    tri_limits_default(&limits);
    if (size > FUZZ_MAX)
        return 0;
    tri_span bytes = { (const char *)data, size };
    const record *seen = fuzz_all_cuts(&limits, bytes, (unsigned)size);
    bool has_body = strstr(seen->log, "\n+") != NULL; /* whose bytes are anything */
    if (!has_body)
        check_lines(seen);
    return 0;
}
