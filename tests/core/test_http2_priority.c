/* Priorities (RFC 9218): who is written first, and who takes turns. */
#include "http2_pair.h"

enum { WHOLE = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, LARGE = 40000 };

#define GET_WITH(value)             \
    TRI_SPAN("\x82\x84\x86\x41\x01" \
             "a\x40\x08priority" value)

static char bytes[LARGE];

/* A connection whose windows are wide open. */
static void start_wide(pair *self)
{
    start_raw(self);
    self->by_hand = true;
    frame(self, NGHTTP2_SETTINGS, 0, 0, TRI_SPAN("\0\4\0\x10\0\0"));
    frame(self, NGHTTP2_WINDOW_UPDATE, 0, 0, TRI_SPAN("\0\x10\0\0"));
    carry(self, SIZE_MAX);
}

/* Answers a request with 40,000 bytes. */
static void answer_large(pair *self, uint32_t id)
{
    tri_loan loan = { .bytes = { bytes, sizeof bytes } };
    CHECK(begin(self, id, 200) == 0 && self->protocol->ops->submit_body(self->protocol, id, &loan, true) == 0);
}

/* The streams of the DATA frames, in order, as digits. */
static const char *order(pair *self)
{
    static char digits[64];
    size_t n = 0;
    for (const char *p = self->frames; (p = strstr(p, "DATA ")) != NULL && n < sizeof digits - 1; p++)
        digits[n++] = p[5];
    digits[n] = '\0';
    return digits;
}

/* The more urgent is written first, whoever asked or was answered first. */
static void test_urgency(void)
{
    pair self;
    start_wide(&self);
    frame(&self, NGHTTP2_HEADERS, WHOLE, 1, GET_WITH("\x03u=7"));
    frame(&self, NGHTTP2_HEADERS, WHOLE, 3, RAW_GET);
    frame(&self, NGHTTP2_HEADERS, WHOLE, 5, GET_WITH("\x03u=0"));
    CHECK(saw(self.events, "1 1 GET path=/ query= host=a priority=u=7\n"));
    for (uint32_t id = 1; id <= 5; id += 2)
        answer_large(&self, id);
    carry(&self, SIZE_MAX);
    CHECK(strcmp(order(&self), "555333111") == 0 && state_of(&self) == TRI_PROTOCOL_IDLE);
    stop(&self);
}

/* Those that can be used in parts take turns; the others go one after another. */
static void test_incremental(void)
{
    pair self;
    start_wide(&self);
    frame(&self, NGHTTP2_HEADERS, WHOLE, 1, GET_WITH("\x01i"));
    frame(&self, NGHTTP2_HEADERS, WHOLE, 3, GET_WITH("\x01i"));
    answer_large(&self, 1);
    answer_large(&self, 3);
    carry(&self, SIZE_MAX);
    CHECK(strcmp(order(&self), "131313") == 0);
    self.frames[0] = '\0';
    frame(&self, NGHTTP2_HEADERS, WHOLE, 5, RAW_GET);
    frame(&self, NGHTTP2_HEADERS, WHOLE, 7, RAW_GET);
    answer_large(&self, 5);
    answer_large(&self, 7);
    carry(&self, SIZE_MAX);
    CHECK(strcmp(order(&self), "555777") == 0);
    stop(&self);
}

/* A client may change its mind, before or after the request; what is no priority is ignored. */
static void test_update(void)
{
    pair self;
    start_wide(&self);
    frame(&self, NGHTTP2_PRIORITY_UPDATE, 0, 0, TRI_SPAN("\0\0\0\5u=1"));
    frame(&self, NGHTTP2_HEADERS, WHOLE, 1, GET_WITH("\x03u=2"));
    frame(&self, NGHTTP2_HEADERS, WHOLE, 3, GET_WITH("\x03u=9"));
    frame(&self, NGHTTP2_HEADERS, WHOLE, 5, RAW_GET);
    frame(&self, NGHTTP2_PRIORITY_UPDATE, 0, 0, TRI_SPAN("\0\0\0\1u=5"));
    frame(&self, NGHTTP2_PRIORITY_UPDATE, 0, 0, TRI_SPAN("\0\0\0\3nonsense!"));
    for (uint32_t id = 1; id <= 5; id += 2)
        answer_large(&self, id);
    carry(&self, SIZE_MAX);
    CHECK(strcmp(order(&self), "555333111") == 0 && self.error == 0 && !saw(self.frames, "GOAWAY"));
    stop(&self);
}

/* An urgent answer that comes late overtakes what is not in the chain yet. */
static void test_overtaking(void)
{
    pair self;
    start_wide(&self);
    frame(&self, NGHTTP2_HEADERS, WHOLE, 1, GET_WITH("\x03u=6"));
    frame(&self, NGHTTP2_HEADERS, WHOLE, 3, GET_WITH("\x03u=0"));
    tri_loan loan = { .bytes = { bytes, sizeof bytes } };
    CHECK(begin(&self, 1, 200) == 0);
    for (int i = 0; i < 10; i++)
        CHECK(self.protocol->ops->submit_body(self.protocol, 1, &loan, i == 9) == 0);
    CHECK(drain(&self, 100) > 0);
    answer_large(&self, 3);
    carry(&self, SIZE_MAX);
    const char *all = order(&self);
    CHECK(strstr(all, "333") != NULL && strstr(all, "333") - all < 6 && all[strlen(all) - 1] == '1');
    stop(&self);
}

int main(void)
{
    test_urgency();
    test_incremental();
    test_update();
    test_overtaking();
    return check_report();
}
