/* The opening handshake: the digest, what a request must bring, how lists are split. */
#include "check.h"
#include "ws/ws_handshake.h"
#include "ws/ws_sha1.h"

/* A text as a span that ends at a protected page. */
static tri_span span(const char *text)
{
    return (tri_span){ check_page_reuse(text, strlen(text)), strlen(text) };
}

/* --- SHA-1 --- */

static bool digests(tri_span text, const char *hexadecimal)
{
    unsigned char digest[TRI_WS_SHA1_SIZE];
    char shown[2 * TRI_WS_SHA1_SIZE + 1];
    tri_ws_sha1_digest(text, digest);
    for (unsigned i = 0; i < TRI_WS_SHA1_SIZE; i++)
        snprintf(shown + 2 * i, 3, "%02x", digest[i]);
    if (strcmp(shown, hexadecimal) != 0)
        fprintf(stderr, "%zu bytes: %s\n", text.n, shown);
    return strcmp(shown, hexadecimal) == 0;
}

static bool digests_text(const char *text, const char *hexadecimal)
{
    return digests(span(text), hexadecimal);
}

/* So many letters of the alphabet, again and again. */
static tri_span letters(size_t n)
{
    char text[TRI_WS_SHA1_MOST];
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + i % 26);
    return (tri_span){ check_page_reuse(text, n), n };
}

static void test_sha1(void)
{
    CHECK(digests_text("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"));
    CHECK(digests((tri_span){ NULL, 0 }, "da39a3ee5e6b4b0d3255bfef95601890afd80709"));
    /* RFC 3174 §7.3 */
    CHECK(digests_text("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"));
    CHECK(digests_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                       "84983e441c3bd26ebaae4aa1f95129e5e54670f1"));
    CHECK(digests_text("The quick brown fox jumps over the lazy dog", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"));
    /* where the padding takes a block of its own, and where it does not */
    CHECK(digests(letters(1), "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"));
    CHECK(digests(letters(54), "52c4ac98d05f285b2d9b086703fe0463a3045475"));
    CHECK(digests(letters(55), "a617d006d1ca12671785098a19a87fe58443bde9"));
    CHECK(digests(letters(56), "4ad5bb7ae3c4024768d364b77c52128ea3cffebe"));
    CHECK(digests(letters(57), "e1b3b34da0f7b299090824d9aa81fff6711a79ad"));
    CHECK(digests(letters(60), "6d8c64099fafda87af096c9e8185de824d3c54ad"));
    CHECK(digests(letters(63), "fc8a5ab77259625085ead3ec96515b3b8d933fad"));
    CHECK(digests(letters(64), "93249d4c2f8903ebf41ac358473148ae6ddd7042"));
    CHECK(digests(letters(65), "cf2a63cc308225cf07b498d2309a01dd0df52f67"));
    CHECK(digests(letters(118), "e8296c0b6f35353f7d1b419cff9beab7460a0b2b"));
    CHECK(digests(letters(119), "edd0f1133d0e4ca5f3e98bb7e0295f31d20d2cdb"));
}

/* --- the fields --- */

static tri_ws_handshake fields(const char *key, const char *version)
{
    tri_ws_handshake handshake = { .keys = 0 };
    if (key != NULL)
        tri_ws_handshake_note(&handshake, TRI_SPAN("sec-websocket-key"), (tri_span){ key, strlen(key) });
    if (version != NULL)
        tri_ws_handshake_note(&handshake, TRI_SPAN("sec-websocket-version"), (tri_span){ version, strlen(version) });
    tri_ws_handshake_note(&handshake, TRI_SPAN("sec-websocket-keys"), TRI_SPAN("no"));
    tri_ws_handshake_note(&handshake, TRI_SPAN("host"), TRI_SPAN("13"));
    return handshake;
}

static int check(const char *key, const char *version)
{
    const char *reason = NULL;
    tri_ws_handshake handshake = fields(key, version);
    int status = tri_ws_handshake_check(&handshake, &reason);
    CHECK(status == 0 || reason != NULL);
    return status;
}

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static void test_version(void)
{
    CHECK(check(KEY, "13") == 0);
    CHECK(check(KEY, NULL) == 400);
    CHECK(check(KEY, "8") == 426);
    CHECK(check(KEY, "") == 426);
    CHECK(check(KEY, "013") == 426);
    CHECK(check(KEY, "13, 8") == 426);
    CHECK(check("bad", "0") == 426);
    const char *reason;
    tri_ws_handshake twice = fields(KEY, "13");
    tri_ws_handshake_note(&twice, TRI_SPAN("sec-websocket-version"), TRI_SPAN("13"));
    CHECK(tri_ws_handshake_check(&twice, &reason) == 400);
}

static void test_key(void)
{
    CHECK(check(NULL, "13") == 400);
    CHECK(check("", "13") == 400);
    CHECK(check("dGhlIHNhbXBsZSBub25jZQ=", "13") == 400);
    CHECK(check("dGhlIHNhbXBsZSBub25jZQ===", "13") == 400);
    CHECK(check("dGhlIHNhbXBsZSBub25jZQab", "13") == 400);
    CHECK(check("dGhlIHNhbXBsZSBub25jZQa=", "13") == 400);
    CHECK(check("dGhlIHNhbXBsZSBub25jZQ=a", "13") == 400);
    CHECK(check("dGhlIHNhbXBsZSBub25jZ===", "13") == 400);
    CHECK(check("dGhlIHNhbXBsZSBub25j Q==", "13") == 400);
    CHECK(check("_Ghl-HNhbXBsZSBub25jZQ==", "13") == 400);
    CHECK(check("+Ghl/HNhbXBsZSBub25jZQ==", "13") == 0);
    const char *reason;
    tri_ws_handshake twice = fields(KEY, "13");
    tri_ws_handshake_note(&twice, TRI_SPAN("sec-websocket-key"), TRI_SPAN(KEY));
    CHECK(tri_ws_handshake_check(&twice, &reason) == 400);
    tri_ws_handshake nul = fields(KEY, "13");
    char key[] = KEY;
    key[3] = '\0';
    nul.key = (tri_span){ key, 24 };
    CHECK(tri_ws_handshake_check(&nul, &reason) == 400);
}

/* Every byte at every place of a key: 64 of them may be there. */
static void test_key_bytes(void)
{
    unsigned good = 0;
    for (unsigned at = 0; at < 24; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char key[] = KEY;
            const char *reason;
            key[at] = (char)byte;
            tri_ws_handshake handshake = { .key = { check_page_reuse(key, 24), 24 }, .keys = 1 };
            handshake.version = TRI_SPAN("13");
            handshake.versions = 1;
            good += tri_ws_handshake_check(&handshake, &reason) == 0;
        }
    }
    CHECK(good == 22 * 64 + 2);
}

static bool accepts(const char *key, const char *wanted)
{
    char accept[TRI_WS_HANDSHAKE_ACCEPT + 1] = { 0 };
    tri_ws_handshake_accept(span(key), accept);
    return strcmp(accept, wanted) == 0;
}

static void test_accept(void)
{
    CHECK(accepts(KEY, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")); /* RFC 6455 §1.3 */
    CHECK(accepts("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="));
    CHECK(accepts("AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="));
    CHECK(accepts("/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g="));
    CHECK(accepts("AAECAwQFBgcICQoLDA0ODw==", "Bz3qJYTGdOe8gUSpLosEdiLKDrk="));
}

/* --- lists --- */

/* The elements in brackets. */
static bool splits(const char *list, char separator, const char *wanted)
{
    char got[256] = "";
    tri_span rest = span(list), element;
    while (separator == ',' ? tri_ws_handshake_next(&rest, &element)
                            : tri_ws_handshake_split(&rest, separator, &element)) {
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "[%.*s]", (int)element.n, element.p);
    }
    CHECK(rest.n == 0);
    if (strcmp(got, wanted) != 0)
        fprintf(stderr, "%s: %s\n", list, got);
    return strcmp(got, wanted) == 0;
}

static void test_lists(void)
{
    CHECK(splits("", ',', ""));
    CHECK(splits(" \t ", ',', ""));
    CHECK(splits(",, ,\t,", ',', ""));
    CHECK(splits("a", ',', "[a]"));
    CHECK(splits("a,b", ',', "[a][b]"));
    CHECK(splits(" a b\t,\t c ,,d", ',', "[a b][c][d]"));
    CHECK(splits("a,", ',', "[a]"));
    CHECK(splits("a;b,c", ';', "[a][b,c]"));
    CHECK(splits("a; b=\"x;y\" ;c", ';', "[a][b=\"x;y\"][c]"));
    CHECK(splits("a=\"1,2\",b", ',', "[a=\"1,2\"][b]"));
    CHECK(splits("a=\"1\\\",2\",b", ',', "[a=\"1\\\",2\"][b]"));
    CHECK(splits("a=\"1\\\\\",b", ',', "[a=\"1\\\\\"][b]"));
    CHECK(splits("a\\,b", ',', "[a\\][b]"));
    CHECK(splits("a=\"open, b", ',', "[a=\"open, b]"));
    CHECK(splits("a=\"open\\", ',', "[a=\"open\\]"));
    CHECK(splits("\"\",\",\"", ',', "[\"\"][\",\"]"));
}

static void test_asks(void)
{
    CHECK(tri_ws_handshake_asks(span("websocket")));
    CHECK(tri_ws_handshake_asks(span("WebSocket")));
    CHECK(tri_ws_handshake_asks(span("WEBSOCKET")));
    CHECK(tri_ws_handshake_asks(span("h2c , websocket")));
    CHECK(tri_ws_handshake_asks(span("websocket,h2c")));
    CHECK(!tri_ws_handshake_asks(span("")));
    CHECK(!tri_ws_handshake_asks(span("h2c")));
    CHECK(!tri_ws_handshake_asks(span("websocke")));
    CHECK(!tri_ws_handshake_asks(span("websockets")));
    CHECK(!tri_ws_handshake_asks(span("websocket/13")));
    CHECK(!tri_ws_handshake_asks(span("web5ocket")));
    CHECK(!tri_ws_handshake_asks(span("web socket")));
    CHECK(!tri_ws_handshake_asks(span("\"websocket\"")));
    CHECK(!tri_ws_handshake_asks(span("[ebsocket")));
    CHECK(!tri_ws_handshake_asks(span("websockeT`")));
}

int main(void)
{
    test_sha1();
    test_version();
    test_key();
    test_key_bytes();
    test_accept();
    test_lists();
    test_asks();
    return check_report();
}
