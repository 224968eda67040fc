/* What is agreed on compression (RFC 7692 §5 and §7.1): every parameter, right and wrong, under every option. */
#include "check.h"
#include "ws/ws_deflate.h"

static tri_ws_deflate_options options;
static tri_ws_deflate_params params;

/* Options that change nothing of themselves. */
static void plain(void)
{
    options = (tri_ws_deflate_options){ .enabled = true, .window_bits = 15, .level = 6, .mem_level = 8, .streams = 1 };
}

/* Whether the answer to the offers is `wanted`; empty for none. */
static bool answers(const char *offers, const char *wanted)
{
    char answer[TRI_WS_DEFLATE_ANSWER + 1];
    size_t length = strlen(offers);
    tri_span span = { check_page_reuse(offers, length), length };
    memset(&params, 0xff, sizeof params);
    size_t n = tri_ws_deflate_negotiate(&options, span, &params, answer);
    answer[n] = '\0';
    if (strcmp(answer, wanted) != 0)
        fprintf(stderr, "%s: %s\n", offers, answer);
    return strcmp(answer, wanted) == 0 && params.agreed == (n > 0);
}

/* Whether the last agreement has these windows, and contexts that are kept or not. */
static bool agreed(unsigned send_bits, unsigned recv_bits, bool send_alone, bool recv_alone)
{
    return params.send_bits == send_bits && params.recv_bits == recv_bits && params.send_no_context == send_alone
           && params.recv_no_context == recv_alone;
}

#define PMD "permessage-deflate"
#define SERVER_ALONE "; server_no_context_takeover"
#define CLIENT_ALONE "; client_no_context_takeover"
#define SERVER_BITS "; server_max_window_bits"
#define CLIENT_BITS "; client_max_window_bits"

static void test_none(void)
{
    plain();
    CHECK(answers("", ""));
    CHECK(answers(" , ,", ""));
    CHECK(answers("x-webkit-deflate-frame", ""));
    CHECK(answers("permessage-deflat", ""));
    CHECK(answers("permessage-deflate2", ""));
    CHECK(answers("permessage-bzip2; " PMD, ""));
    CHECK(answers("\"" PMD "\"", ""));
    CHECK(answers(";", ""));
    options.enabled = false;
    CHECK(answers(PMD, ""));
}

static void test_plain(void)
{
    plain();
    CHECK(answers(PMD, PMD) && agreed(15, 15, false, false));
    CHECK(answers(" \t" PMD " ", PMD));
    CHECK(answers(PMD SERVER_ALONE, PMD SERVER_ALONE) && agreed(15, 15, true, false));
    CHECK(answers(PMD CLIENT_ALONE, PMD CLIENT_ALONE) && agreed(15, 15, false, true));
    CHECK(answers(PMD CLIENT_ALONE SERVER_ALONE, PMD SERVER_ALONE CLIENT_ALONE) && agreed(15, 15, true, true));
    CHECK(answers(PMD CLIENT_BITS, PMD) && agreed(15, 15, false, false));
    CHECK(answers(PMD CLIENT_BITS "=15", PMD) && agreed(15, 15, false, false));
    CHECK(answers(PMD SERVER_BITS "=15", PMD SERVER_BITS "=15") && agreed(15, 15, false, false));
    CHECK(answers(PMD ";client_max_window_bits=\"9\" ;\tserver_max_window_bits=\"11\"",
                  PMD SERVER_BITS "=11" CLIENT_BITS "=9")
          && agreed(11, 9, false, false));
}

/* Every window that may be offered, against every one that we would have. */
static void test_windows(void)
{
    bool ok = true;
    for (unsigned ours = 9; ours <= 15; ours++) {
        for (unsigned offered = 8; offered <= 15; offered++) {
            char offer[200], answer[200], own[60] = "";
            plain();
            options.window_bits = (uint8_t)ours;
            unsigned less = offered < ours ? offered : ours;
            snprintf(offer, sizeof offer, PMD SERVER_BITS "=%u", offered);
            snprintf(answer, sizeof answer, PMD SERVER_BITS "=%u", less);
            /* zlib cannot compress with a window of 8 bits */
            ok = ok && answers(offer, offered == 8 ? "" : answer);
            ok = ok && (offered == 8 || agreed(less, 15, false, false));
            if (ours < 15)
                snprintf(own, sizeof own, SERVER_BITS "=%u", ours);
            snprintf(offer, sizeof offer, PMD CLIENT_BITS "=%u", offered);
            snprintf(answer, sizeof answer, PMD "%s" CLIENT_BITS "=%u", own, less);
            if (less == 15)
                snprintf(answer, sizeof answer, PMD "%s", own);
            ok = ok && answers(offer, answer) && agreed(ours, less, false, false);
        }
    }
    CHECK(ok);
}

/* What we ask for: less where the client lets us, and what a server may ask for unasked. */
static void test_options(void)
{
    plain();
    options.window_bits = 12;
    CHECK(answers(PMD, PMD SERVER_BITS "=12") && agreed(12, 15, false, false));
    CHECK(answers(PMD CLIENT_BITS, PMD SERVER_BITS "=12" CLIENT_BITS "=12") && agreed(12, 12, false, false));
    options.no_context = true;
    CHECK(answers(PMD, PMD SERVER_ALONE SERVER_BITS "=12") && agreed(12, 15, true, false));
    options.client_no_context = true;
    CHECK(answers(PMD CLIENT_BITS "=15" SERVER_BITS "=15" SERVER_ALONE CLIENT_ALONE,
                  PMD SERVER_ALONE CLIENT_ALONE SERVER_BITS "=12" CLIENT_BITS "=12")
          && agreed(12, 12, true, true));
    CHECK(answers(PMD, PMD SERVER_ALONE CLIENT_ALONE SERVER_BITS "=12") && agreed(12, 15, true, true));
}

/* An offer with any of these is none; the next one may be. */
static void test_wrong(void)
{
    static const char *const wrong[] = {
        "unknown",
        "unknown=1",
        "server_no_context_takeover=",
        "server_no_context_takeover=1",
        "client_no_context_takeover=\"\"",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits",
        "server_max_window_bits=",
        "server_max_window_bits=7",
        "server_max_window_bits=8",
        "server_max_window_bits=09",
        "server_max_window_bits=16",
        "server_max_window_bits=1",
        "server_max_window_bits=1:",
        "server_max_window_bits=1/",
        "server_max_window_bits=20",
        "server_max_window_bits=100",
        "server_max_window_bits=-9",
        "server_max_window_bits=\"\"",
        "server_max_window_bits=\"10",
        "server_max_window_bits=10\"",
        "server_max_window_bits=\"",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits=",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=x",
        "client_max_window_bits=\"\"",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits=10; client_max_window_bits=10",
        "client_max_window_bits=10; client_max_window_bits",
        "=",
        "=10",
        "server_max_window_bits =10",
        "Client_max_window_bits",
    };
    plain();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char offers[300];
        snprintf(offers, sizeof offers, PMD "; %s", wrong[i]);
        CHECK(answers(offers, ""));
        snprintf(offers, sizeof offers, "foo, " PMD "; %s, " PMD CLIENT_ALONE, wrong[i]);
        unsigned quotes = 0;
        for (const char *p = wrong[i]; *p != '\0'; p++)
            quotes += *p == '"';
        CHECK(answers(offers, quotes % 2 ? "" : PMD CLIENT_ALONE)); /* a quote that stays open takes in the rest */
    }
}

/* The first offer that fits is taken. */
static void test_choice(void)
{
    plain();
    CHECK(answers(PMD SERVER_BITS "=10, " PMD, PMD SERVER_BITS "=10"));
    CHECK(answers(PMD SERVER_BITS "=8, " PMD SERVER_BITS "=9, " PMD, PMD SERVER_BITS "=9"));
    CHECK(answers("foo; a=\"x, " PMD "\", " PMD SERVER_ALONE, PMD SERVER_ALONE));
    CHECK(answers(PMD ";;"
                      " ; client_max_window_bits=9;",
                  PMD CLIENT_BITS "=9"));
}

int main(void)
{
    CHECK(sizeof(tri_ws_deflate_params) <= 5);
    test_none();
    test_plain();
    test_windows();
    test_options();
    test_wrong();
    test_choice();
    return check_report();
}
