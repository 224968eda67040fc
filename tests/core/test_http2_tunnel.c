/* Tunnels on streams: extended CONNECT for WebSockets (RFC 8441). */
#include "http2_pair.h"

enum { HEAD = NGHTTP2_FLAG_END_HEADERS, END = NGHTTP2_FLAG_END_STREAM };

#define CONNECT_FOR(protocol)                                                      \
    TRI_SPAN("\x02\x07"                                                            \
             "CONNECT\x86\x04\x05/chat\x41\x01"                                    \
             "a\x40\x09:protocol\x09" protocol "\x40\x15sec-websocket-version\x02" \
             "13")

/* A connection on which stream 1 asks for a tunnel. */
static void start_connect(pair *self)
{
    start_raw(self);
    self->by_hand = true;
    frame(self, NGHTTP2_HEADERS, HEAD, 1, CONNECT_FOR("websocket"));
    CHECK(saw(self->events, "1 1 CONNECT path=/chat query= host=a sec-websocket-version=13\n"));
    carry(self, SIZE_MAX);
    self->frames[0] = '\0';
}

static int accept_tunnel(pair *self, uint32_t id)
{
    const tri_field_out fields[] = { { TRI_SPAN("sec-websocket-protocol"), TRI_SPAN("x") },
                                     { TRI_SPAN("content-length"), TRI_SPAN("5") } };
    tri_response response = { .status = 101, .fields = fields, .n_fields = 2 };
    return self->protocol->ops->submit_upgrade(self->protocol, id, &response, TRI_SPAN("websocket"));
}

/* Puts bytes into a tunnel, as a WebSocket does. */
static void say(pair *self, uint32_t id, const char *text)
{
    tri_chain *out = self->protocol->ops->tunnel(self->protocol, id);
    CHECK(out != NULL && tri_chain_copy(out, &self->chains, (tri_span){ text, strlen(text) }) == 0);
}

/* Bytes go both ways, and either side ends its own. */
static void test_both_ways(void)
{
    pair self;
    start_connect(&self);
    CHECK(self.protocol->ops->tunnel(self.protocol, 3) == NULL);
    CHECK(accept_tunnel(&self, 1) == 0 && accept_tunnel(&self, 1) == TRI_ESTATE);
    carry(&self, SIZE_MAX);
    CHECK(strncmp(self.frames, "HEADERS 1 n=", 12) == 0 && saw(self.frames, " flags=4\n") && !saw(self.frames, "DATA"));
    for (int i = 0; i < 3; i++) {
        say(&self, 1, "ours");
        carry(&self, SIZE_MAX);
        frame(&self, NGHTTP2_DATA, 0, 1, TRI_SPAN("theirs"));
    }
    CHECK(times(self.frames, "DATA 1 n=4 flags=0\n") == 3 && times(self.events, "1 2\n") == 3 && self.body == 18);
    CHECK(self.protocol->ops->consumed(self.protocol, 1, 18) == 0);
    frame(&self, NGHTTP2_DATA, END, 1, (tri_span){ NULL, 0 });
    CHECK(saw(self.events, "1 3\n") && state_of(&self) == 0);
    say(&self, 1, "bye");
    CHECK(put(&self, 1, "", true) == 0);
    carry(&self, SIZE_MAX);
    CHECK(saw(self.frames, "DATA 1 n=3 flags=1\n") && !saw(self.frames, "RST_STREAM"));
    CHECK(state_of(&self) == TRI_PROTOCOL_IDLE && self.error == 0);
    stop(&self);
}

/* What comes before it is accepted is told afterwards: the bytes, and the end. */
static void test_early(void)
{
    for (int i = 0; i < 2; i++) {
        pair self;
        start_connect(&self);
        frame(&self, NGHTTP2_DATA, 0, 1, TRI_SPAN("early "));
        frame(&self, NGHTTP2_DATA, i == 0 ? 0 : END, 1, TRI_SPAN("bytes"));
        CHECK(!saw(self.events, "1 2\n") && !saw(self.events, "1 3\n"));
        CHECK(accept_tunnel(&self, 1) == 0);
        CHECK(state_of(&self) & TRI_PROTOCOL_READY);
        tri_event event;
        self.protocol->ops->next_event(self.protocol, &event);
        CHECK(event.type == TRI_EVENT_BODY && tri_span_eq(event.body, TRI_SPAN("early bytes")) && event.stream == 1);
        pull(&self);
        CHECK(saw(self.events, "1 3\n") == (i == 1));
        CHECK(self.protocol->ops->consumed(self.protocol, 1, 11) == 0);
        say(&self, 1, "x");
        carry(&self, SIZE_MAX);
        CHECK(saw(self.frames, "DATA 1 n=1 flags=0\n"));
        stop(&self);
    }
}

/* Too much before it is refused, as is a tunnel that ends with its head. */
static void test_refused(void)
{
    static char bytes[10000];
    pair self;
    start_connect(&self);
    frame(&self, NGHTTP2_DATA, 0, 1, (tri_span){ bytes, sizeof bytes });
    frame(&self, NGHTTP2_DATA, 0, 1, (tri_span){ bytes, sizeof bytes });
    CHECK(saw(self.events, "1 4 400 too much came before the WebSocket was accepted\n"));
    CHECK(accept_tunnel(&self, 1) != 0);
    frame(&self, NGHTTP2_HEADERS, HEAD | END, 3, CONNECT_FOR("websocket"));
    frame(&self, NGHTTP2_HEADERS, HEAD, 5, CONNECT_FOR("something"));
    CHECK(saw(self.events, "3 4 400 a tunnel ends before it begins\n"));
    CHECK(saw(self.events, "5 4 501 CONNECT is not supported\n") && !saw(self.events, "5 1"));
    frame(&self, NGHTTP2_HEADERS, HEAD | END, 7, RAW_GET);
    CHECK(accept_tunnel(&self, 7) == TRI_ESTATE && accept_tunnel(&self, 99) == TRI_ECLOSED);
    carry(&self, SIZE_MAX);
    CHECK(times(self.frames, "RST_STREAM") == 2); /* those whose request was not complete */
    stop(&self);
}

/* A denial is an answer like any other. */
static void test_denied(void)
{
    pair self;
    start_connect(&self);
    frame(&self, NGHTTP2_DATA, 0, 1, TRI_SPAN("early"));
    answer(&self, 1, 403);
    CHECK(self.protocol->ops->reset(self.protocol, 1, TRI_RESET_DONE) == 0);
    carry(&self, SIZE_MAX);
    CHECK(saw(self.frames, "DATA 1 n=5 flags=1\nRST_STREAM 1 n=4 flags=0 0\n") && !saw(self.events, "1 2\n"));
    CHECK(state_of(&self) == TRI_PROTOCOL_IDLE);
    stop(&self);
}

/* A peer that gives up is told of; our end without the peer's is one for both once it is asked for. */
static void test_reset(void)
{
    for (int i = 0; i < 2; i++) {
        pair self;
        start_connect(&self);
        CHECK(accept_tunnel(&self, 1) == 0);
        carry(&self, SIZE_MAX);
        say(&self, 1, "last");
        if (i == 0) {
            frame(&self, NGHTTP2_RST_STREAM, 0, 1, TRI_SPAN("\0\0\0\x8"));
            CHECK(saw(self.events, "1 5\n") && self.protocol->ops->tunnel(self.protocol, 1) == NULL);
        } else {
            CHECK(put(&self, 1, "", true) == 0 && self.protocol->ops->reset(self.protocol, 1, TRI_RESET_DONE) == 0);
            carry(&self, SIZE_MAX);
            CHECK(saw(self.frames, "DATA 1 n=4 flags=1\nRST_STREAM 1 n=4 flags=0 0\n"));
        }
        CHECK(state_of(&self) == TRI_PROTOCOL_IDLE);
        stop(&self);
    }
}

/* What the peer's window holds back waits in the tunnel, and goes on as it opens. */
static void test_window(void)
{
    static char bytes[70001];
    pair self;
    start_connect(&self);
    CHECK(accept_tunnel(&self, 1) == 0);
    memset(bytes, 'x', sizeof bytes - 1);
    say(&self, 1, bytes);
    carry(&self, SIZE_MAX);
    CHECK(self.protocol->ops->waiting(self.protocol, 1) == 70000 - 65535);
    frame(&self, NGHTTP2_WINDOW_UPDATE, 0, 0, TRI_SPAN("\0\1\0\0"));
    frame(&self, NGHTTP2_WINDOW_UPDATE, 0, 1, TRI_SPAN("\0\1\0\0"));
    carry(&self, SIZE_MAX);
    CHECK(self.protocol->ops->waiting(self.protocol, 1) == 0 && saw(self.frames, "DATA 1 n=4465 flags=0\n"));
    stop(&self);
}

/* A body's limit is none for a tunnel. */
static void test_no_limit(void)
{
    pair self;
    start_connect(&self);
    self.limits.body = 10;
    CHECK(accept_tunnel(&self, 1) == 0);
    for (int i = 0; i < 10; i++)
        frame(&self, NGHTTP2_DATA, 0, 1, TRI_SPAN("theirs"));
    CHECK(self.body == 60 && !saw(self.events, "1 4"));
    stop(&self);
}

int main(void)
{
    test_both_ways();
    test_early();
    test_refused();
    test_denied();
    test_reset();
    test_window();
    test_no_limit();
    return check_report();
}
