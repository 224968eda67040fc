/* Lines of the access log: the input is a format, a target and a field's value, with NULs between them, and behind them
   a glob. What the peer has sent must stay within its line, and within quotes. */
#include "access_record.h"
#include "fuzz.h"

#include "server/internal.h"

/* A text as it stands in a line: nothing that ends the line or the quotes around it. */
static void check_text(tri_span bytes, bool json)
{
    static char out[8 * FUZZ_MAX];
    size_t room = sizeof out - bytes.n % 97;
    const char *end = tri_access_log_escape(out, out + room, bytes, json);
    HOLDS(end <= out + room);
    for (const char *p = out; p < end; p++) {
        HOLDS(*p >= 0x20 && *p < 0x7f);
        if (*p == '\\') {
            p++;
            HOLDS(p < end && (json ? strchr("\"\\u", *p) != NULL : *p == 'x'));
        } else {
            HOLDS(*p != '"');
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static made_head made;
    static const tri_addr peer = { .family = TRI_FAMILY_IPV4 };
    fuzz_input in = { data, size < FUZZ_MAX ? size : FUZZ_MAX };
    tri_span format = fuzz_text(&in), target = fuzz_text(&in), value = fuzz_text(&in);
    tri_span glob = { (const char *)in.p, in.n };
    check_text(value, true);
    check_text(value, false);
    HOLDS(tri_access_log_matches(TRI_SPAN("*"), target));
    (void)tri_access_log_matches(glob, target);

    tri_access_log *log = NULL;
    tri_access_fault fault = { SIZE_MAX, NULL };
    const tri_access_config config = { .mem = tri_mem_libc(), .format = format, .excluded = glob };
    if (tri_access_log_new(&log, &config, &fault) != 0) {
        HOLDS(fault.at <= format.n && fault.reason != NULL);
        return 0;
    }
    made_head_init(&made, target);
    made_field(&made, TRI_SPAN("x"), value);
    tri_span sent[TRI_ACCESS_FORMAT_SENT];
    for (unsigned i = 0; i < TRI_ACCESS_FORMAT_SENT; i++)
        sent[i] = value;
    const tri_access_record record = { .head = &made.head, .peer = &peer, .status = 200, .fields = sent };
    tri_span line = tri_access_log_line(log, &record);
    HOLDS(line.n > 0 && line.n <= TRI_ACCESS_LOG_LINE);
    HOLDS(memchr(line.p, '\n', line.n) == line.p + line.n - 1);
    (void)tri_access_log_excludes(log, target);
    tri_access_log_free(log);
    return 0;
}
