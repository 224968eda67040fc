/* Requests of every kind over several connections, to an application that does something else with each: what the tests
   of faults let fail at each place. */
#ifndef TRI_TESTS_SCENARIO_H
#define TRI_TESTS_SCENARIO_H

#include "serving.h"

enum { SCENARIO_CLIENTS = 6 };

static char scenario_large[200000];
static unsigned scenario_lent, scenario_released;

static inline void scenario_release(void *owner)
{
    (void)owner;
    scenario_released++;
}

/* Does something else with every request, as long as it goes well. */
static inline void scenario_app(serving *self, tri_exchange *exchange)
{
    tri_received got;
    tri_response response = { .status = 200 };
    tri_loan loan = { { scenario_large, sizeof scenario_large }, scenario_release, NULL };
    while (tri_exchange_receive(exchange, &got) == 0 && !got.disconnect)
        tri_exchange_take(exchange);
    tri_exchange_want(exchange, TRI_WANT_READ);
    if (self->exchanges % 3 == 0) {
        (void)!answer(exchange, "hello");
    } else if (self->exchanges != 7 && tri_exchange_respond(exchange, &response) == 0) {
        bool once = self->exchanges % 2 == 0;
        if (tri_exchange_write(exchange, &loan, once) == 0) {
            scenario_lent++;
            scenario_lent += !once && tri_exchange_write(exchange, &loan, true) == 0;
        }
    }
    let_go(exchange);
}

/* A few turns with what the clients have sent; what comes back is only taken in. */
static inline void scenario_send(serving *s, client *c, const char *text)
{
    (void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    for (int i = 0; i < 8; i++) {
        serving_turn(s, 0);
        while (client_read(c))
            continue;
        client_forget(c);
    }
}

/* Opens the clients, SCENARIO_CLIENTS of them, and has them send. */
static inline void scenario_begin(serving *s, client *c)
{
    static char head[6000];
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nLong: %05000d\r\n\r\n", 0);
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_open(&c[i], s);
    scenario_send(s, &c[0], "GET / HTTP/1.1\r\nHost: a\r\nPie");
    scenario_send(s, &c[1], GET("/1") GET("/2") GET("/3") "GET /4 HT");
    scenario_send(s, &c[0], "ces: a\r\n\r\n");
    scenario_send(s, &c[1], "TP/1.1\r\nHost: a\r\n\r\n");
    scenario_send(s, &c[2], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    scenario_send(s, &c[2], "0123456789");
    scenario_send(s, &c[3], "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n");
    scenario_send(s, &c[3], "0\r\n\r\n");
    scenario_send(s, &c[4], head);
    scenario_send(s, &c[5], "nonsense\r\n\r\n");
    client_reset(&c[5]);
    for (int i = 0; i < 3; i++)
        scenario_send(s, &c[i], GET("/"));
}

/* Stops the server; the clients go. */
static inline void scenario_end(serving *s, client *c)
{
    tri_server_stop(s->server);
    scenario_send(s, &c[4], GET("/"));
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_close(&c[i]);
    serving_turn(s, 0);
}

#endif
