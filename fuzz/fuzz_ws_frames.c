/* What a client sends on a WebSocket, under limits that the input chooses. However it is cut, and whether decompressors
   are kept or given up, the same is read. */
#include "fuzz_ws.h"

/* The log holds whole messages, of which texts are UTF-8, and nothing behind a close frame or a failure. */
static void check_log(const ws_record *seen)
{
    const char *line = seen->log;
    while (line < seen->log + seen->log_n) {
        char *bytes;
        bool fails = strncmp(line, "fail ", 5) == 0, closes = strncmp(line, "close ", 6) == 0;
        const char *size = closes ? line + 11 : strchr(line, ' ') + 1;
        if (fails) {
            HOLDS(strchr(line, '\n') == seen->log + seen->log_n - 1);
            return;
        }
        size_t n = strtoul(size, &bytes, 10);
        if (n > WS_RECORD_SHOWN) /* a hash of it */
            n = 17;
        else if (strncmp(line, "text ", 5) == 0) {
            tri_ws_utf8 utf8 = { 0 };
            HOLDS(tri_ws_utf8_go_on(&utf8, bytes + 1, n) && tri_ws_utf8_complete(&utf8));
        }
        line = bytes + 1 + n + 1;
        HOLDS(line[-1] == '\n');
        HOLDS(!closes || line == seen->log + seen->log_n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ws_record whole, cut;
    fuzz_socket how;
    fuzz_input in = { data, size };
    fuzz_socket_init(&how);
    unsigned choice = fuzz_byte(&in);
    if (choice & 1)
        how.offers = choice & 2 ? "permessage-deflate" : "permessage-deflate; client_no_context_takeover";
    if (choice & 4)
        how.limits.ws_message = fuzz_byte(&in) * 2;
    if (choice & 8)
        how.limits.ws_fragments = 1 + fuzz_byte(&in) % 8;
    tri_span bytes = { (const char *)in.p, in.n };
    fuzz_run(&whole, &how, bytes, FUZZ_WHOLE, 0);
    check_log(&whole);
    how.options.streams = 0;
    fuzz_run(&cut, &how, bytes, FUZZ_BYTES, 0);
    HOLDS(fuzz_same(&whole, &cut));
    how.options.streams = 1;
    fuzz_run(&cut, &how, bytes, FUZZ_RANDOM, choice + (unsigned)size);
    HOLDS(fuzz_same(&whole, &cut));
    return 0;
}
