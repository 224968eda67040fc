/* Who sends little that becomes much has one message inflated, and then others have their turn: those who ask for
   something else in the same turn, and the others of its kind in the next ones. */
#include "scenario.h"
#include "ws_peer.h"

enum { PEERS = 6 };

static client peers[PEERS];
static client other;
static unsigned received[PEERS];

static void sockets_or_hello(serving *self, tri_exchange *exchange)
{
    if (tri_exchange_is_websocket(exchange))
        app_hold(self, exchange);
    else
        app_hello(self, exchange);
}

/* Which client's WebSocket this is, by the path it asked for. */
static unsigned whose(tri_exchange *exchange)
{
    return (unsigned)(tri_exchange_head(exchange)->base[tri_exchange_head(exchange)->path.at + 1] - '0');
}

/* Takes what has come, and returns how many messages that were. */
static unsigned take_all(const serving *s)
{
    unsigned n = 0;
    tri_ws_received got;
    for (unsigned i = 0; i < s->n_held; i++) {
        while (tri_websocket_receive(s->held[i], &got) == 0 && got.type != TRI_WS_RECEIVED_DISCONNECT) {
            bool message = got.type == TRI_WS_RECEIVED_MESSAGE;
            CHECK(!message || got.message->n == PEER_BOMB);
            tri_websocket_take(s->held[i]);
            if (!message)
                CHECK(tri_websocket_accept(s->held[i], NULL, 0, (tri_span){ NULL, 0 }) == 0);
            received[whose(s->held[i])] += message;
            n += message;
        }
        tri_exchange_want(s->held[i], TRI_WANT_READ);
    }
    return n;
}

static void open_peers(serving *s)
{
    memset(received, 0, sizeof received);
    for (int i = 0; i < PEERS; i++) {
        char hello[512];
        snprintf(hello, sizeof hello,
                 "GET /%d HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" SOCKETS_DEFLATE "\r\n",
                 i);
        client_open(&peers[i], s);
        client_send(&peers[i], hello);
    }
    SERVE_UNTIL(s, s->n_held == PEERS);
    take_all(s);
    for (int i = 0; i < PEERS; i++)
        SERVE_UNTIL(s, client_has(&peers[i], "permessage-deflate"));
}

static void send_bomb(client *to)
{
    tri_span frame = peer_bomb();
    CHECK(send(to->fd, frame.p, frame.n, MSG_NOSIGNAL) == (ssize_t)frame.n);
}

/* Each turn inflates one message, whoever asks for something else is answered in the first, and every peer comes to
   its turn though some never cease to send. */
static void test_bombs_of_many(void)
{
    serving s;
    tri_limits limits = short_limits();
    serving_http2 = true;
    serving_init(&s, &limits, sockets_or_hello);
    open_peers(&s);
    client_open(&other, &s);
    SERVE_UNTIL(&s, counters_of(&s).open == PEERS + 1);
    for (int i = 0; i < PEERS; i++)
        send_bomb(&peers[i]);
    client_send(&other, GET("/other"));
    unsigned turns = 0;
    for (bool all = false; !all && turns < 50; turns++) {
        send_bomb(&peers[0]);
        send_bomb(&peers[PEERS - 1]);
        serving_turn(&s, 1000);
        CHECK(turns > 0 || client_has(&other, "200 OK"));
        CHECK(take_all(&s) <= 2 + 2 * turns); /* those that one peer has sent meanwhile */
        all = true;
        for (int i = 0; i < PEERS; i++)
            all = all && received[i] > 0;
    }
    CHECK(turns >= PEERS && turns < 4 * PEERS);
    for (int i = 0; i < PEERS; i++)
        client_close(&peers[i]);
    client_close(&other);
    serving_fini(&s);
    serving_http2 = false;
}

/* Who has answered its ping in time lives on, though the turn that sees it is late and another's bomb has used it up.
 */
static void test_bomb_beside_a_pong(void)
{
    serving s;
    tri_limits limits = short_limits();
    limits.ws_ping_ms = 200;
    limits.ws_pong_ms = 200;
    serving_http2 = true;
    serving_init(&s, &limits, sockets_or_hello);
    open_peers(&s);
    SERVE_UNTIL(&s, client_has(&peers[PEERS - 1], "\x89"));
    send_bomb(&peers[0]);
    for (int i = 1; i < PEERS; i++)
        CHECK(send(peers[i].fd, "\x8a\x80\0\0\0\0", 6, MSG_NOSIGNAL) == 6);
    poll(NULL, 0, 260); /* beyond the deadline */
    serving_turn(&s, 0);
    serving_turn(&s, 0);
    CHECK(s.refusals == 0);
    for (int i = 0; i < PEERS; i++)
        client_close(&peers[i]);
    serving_fini(&s);
    serving_http2 = false;
}

/* The same of a close frame that has come in time: what was sent before it is known to be read. */
static void test_bomb_beside_a_close(void)
{
    serving s;
    tri_limits limits = short_limits();
    limits.ws_close_ms = 200;
    serving_http2 = true;
    serving_init(&s, &limits, sockets_or_hello);
    open_peers(&s);
    unsigned bomber = whose(s.held[0]);
    for (unsigned i = 1; i < s.n_held; i++)
        CHECK(tri_websocket_close(s.held[i], TRI_WS_NORMAL, (tri_span){ NULL, 0 }) == 0);
    serving_turn(&s, 0);
    send_bomb(&peers[bomber]);
    for (unsigned i = 0; i < PEERS; i++)
        CHECK(i == bomber || send(peers[i].fd, "\x88\x82\0\0\0\0\x03\xe8", 8, MSG_NOSIGNAL) == 8);
    poll(NULL, 0, 260); /* beyond the deadline */
    serving_turn(&s, 0);
    serving_turn(&s, 0);
    for (unsigned i = 1; i < s.n_held; i++)
        CHECK(!tri_websocket_is_open(s.held[i]) && !tri_websocket_broken(s.held[i]));
    for (int i = 0; i < PEERS; i++)
        client_close(&peers[i]);
    serving_fini(&s);
    serving_http2 = false;
}

int main(void)
{
    test_bombs_of_many();
    test_bomb_beside_a_pong();
    test_bomb_beside_a_close();
    return check_report();
}
