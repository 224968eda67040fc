/* Everything that a peer sends on a connection, under limits and cuts that the input chooses. Requests that come one
   after another must be read as if each had come alone. */
#include "fuzz_http.h"

/* Small limits, if the input wants some, so that they are reached. */
static void choose_limits(fuzz_input *in, tri_limits *limits)
{
    tri_limits_default(limits);
    unsigned which = fuzz_byte(in);
    if (which & 1)
        limits->request_line = 16 + fuzz_byte(in);
    if (which & 2)
        limits->head = 20 + fuzz_byte(in);
    if (which & 4)
        limits->fields = fuzz_byte(in) % 8;
    if (which & 8)
        limits->body = 1 + fuzz_byte(in);
    if (which & 16)
        limits->trailers = fuzz_byte(in);
    if (which & 32)
        limits->chunk_ext = fuzz_byte(in) % 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tri_limits limits;
    fuzz_input in = { data, size };
    choose_limits(&in, &limits);
    unsigned seed = fuzz_byte(&in);
    if (in.n <= FUZZ_MAX)
        fuzz_all_cuts(&limits, (tri_span){ (const char *)in.p, in.n }, seed);
    return 0;
}
