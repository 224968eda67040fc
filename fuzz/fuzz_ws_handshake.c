/* The opening handshake: offers of extensions, an Upgrade field, a key and a version, under options that the input
   chooses. */
#include "fuzz.h"

#include "ws/ws_deflate.h"
#include "ws/ws_handshake.h"

/* A copy that ends at a protected page. */
static tri_span guarded(tri_span text)
{
    return (tri_span){ check_page_reuse(text.p, text.n), text.n };
}

/* Each element is bare and not empty, and what they are joined to is split the same way. */
static void check_split(tri_span list, char separator)
{
    static char joined[2 * FUZZ_MAX], again[2 * FUZZ_MAX];
    tri_span rest = guarded(list), element;
    size_t n = 0, m = 0;
    while (tri_ws_handshake_split(&rest, separator, &element)) {
        HOLDS(element.n > 0 && element.p[0] != ' ' && element.p[0] != '\t' && element.p[0] != separator);
        HOLDS(element.p[element.n - 1] != ' ' && element.p[element.n - 1] != '\t');
        memcpy(joined + n, element.p, element.n);
        n += element.n;
        joined[n++] = separator;
    }
    HOLDS(rest.n == 0);
    rest = guarded((tri_span){ joined, n == 0 ? 0 : n - 1 });
    while (tri_ws_handshake_split(&rest, separator, &element)) {
        memcpy(again + m, element.p, element.n);
        m += element.n;
        again[m++] = separator;
    }
    HOLDS(n == m && memcmp(joined, again, n) == 0);
}

/* Whether what was agreed is within what can be. */
static void check_params(const tri_ws_deflate_options *options, const tri_ws_deflate_params *params)
{
    HOLDS(params->send_bits >= 9 && params->send_bits <= options->window_bits);
    HOLDS(params->recv_bits >= 8 && (params->recv_bits <= options->window_bits || params->recv_bits == 15));
    HOLDS(params->send_no_context || !options->no_context);
    HOLDS(params->recv_no_context || !options->client_no_context);
}

/* An answer, taken as an offer, has itself as its answer; offers of other extensions before it change nothing. */
static void check_negotiation(const tri_ws_deflate_options *options, tri_span offers)
{
    char answer[TRI_WS_DEFLATE_ANSWER], again[TRI_WS_DEFLATE_ANSWER];
    static char behind[FUZZ_MAX + 16];
    tri_ws_deflate_params params, same;
    size_t n = tri_ws_deflate_negotiate(options, guarded(offers), &params, answer);
    HOLDS(params.agreed == (n > 0) && n <= TRI_WS_DEFLATE_ANSWER);
    memcpy(behind, "other;a=\",\", ", 13);
    if (offers.n > 0)
        memcpy(behind + 13, offers.p, offers.n);
    size_t m = tri_ws_deflate_negotiate(options, guarded((tri_span){ behind, 13 + offers.n }), &same, again);
    HOLDS(n == m && memcmp(answer, again, n) == 0);
    if (n == 0)
        return;
    check_params(options, &params);
    m = tri_ws_deflate_negotiate(options, guarded((tri_span){ answer, n }), &same, again);
    HOLDS(n == m && memcmp(answer, again, n) == 0);
    HOLDS(same.send_bits == params.send_bits && same.recv_bits == params.recv_bits);
    HOLDS(same.send_no_context == params.send_no_context && same.recv_no_context == params.recv_no_context);
}

static void check_key(tri_span key, tri_span version)
{
    const char *reason = NULL;
    char accept[TRI_WS_HANDSHAKE_ACCEPT];
    tri_ws_handshake handshake = { .keys = 0 };
    tri_ws_handshake_note(&handshake, TRI_SPAN("sec-websocket-key"), guarded(key));
    tri_ws_handshake_note(&handshake, TRI_SPAN("sec-websocket-version"), version);
    int status = tri_ws_handshake_check(&handshake, &reason);
    bool is_13 = tri_span_eq(version, TRI_SPAN("13"));
    HOLDS(is_13 ? status != 426 : status == 426);
    HOLDS(status == 0 || reason != NULL);
    if (status != 0)
        return;
    tri_ws_handshake_accept(handshake.key, accept);
    HOLDS(accept[TRI_WS_HANDSHAKE_ACCEPT - 1] == '=');
    for (unsigned i = 0; i < TRI_WS_HANDSHAKE_ACCEPT - 1; i++)
        HOLDS(accept[i] == '+' || (accept[i] >= '/' && accept[i] <= 'z'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = { data, size };
    if (size > FUZZ_MAX)
        return 0;
    unsigned choice = fuzz_byte(&in);
    const tri_ws_deflate_options options = {
        .enabled = true,
        .window_bits = (uint8_t)(9 + choice % 7),
        .no_context = (choice & 64) != 0,
        .client_no_context = (choice & 128) != 0,
    };
    tri_span offers = fuzz_text(&in), upgrade = fuzz_text(&in), key = fuzz_text(&in), version = fuzz_text(&in);
    check_split(offers, ',');
    check_split(offers, ';');
    check_negotiation(&options, offers);
    tri_span rest = guarded(upgrade), element;
    bool asks = tri_ws_handshake_asks(rest), has = false;
    while (tri_ws_handshake_next(&rest, &element))
        has = has || (element.n == 9 && strncasecmp(element.p, "websocket", 9) == 0);
    HOLDS(asks == has);
    check_key(key, version);
    return 0;
}
