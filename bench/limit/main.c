/* The same server with a C handler and no Python: what this machine could do, the yardstick for the binding's cost.
   WebSockets are sent back what they send.
   Usage: limit PORT [http2] */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/listener.h"
#include "server/tricorn.h"

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* Says what went wrong, unless it is only that the peer has left. */
static void report(int error)
{
    if (error != 0 && error != TRI_ECLOSED)
        fprintf(stderr, "limit: %s\n", tri_error_text(error));
}

/* Ends an exchange and gives its reference back. */
static void finish(tri_exchange *exchange)
{
    tri_exchange_done(exchange);
    tri_exchange_unref(exchange);
}

/* Answers one exchange with 13 bytes. */
static void answer(tri_exchange *exchange)
{
    tri_field_out fields[2] = {
        { TRI_SPAN("content-type"), TRI_SPAN("text/plain") },
        { TRI_SPAN("content-length"), TRI_SPAN("13") },
    };
    tri_response response = { .status = 200, .fields = fields, .n_fields = 2 };
    tri_loan loan = { .bytes = TRI_SPAN("Hello, world!") };
    int error = tri_exchange_respond(exchange, &response);
    if (error == 0)
        error = tri_exchange_write(exchange, &loan, true);
    report(error);
    finish(exchange);
}

/* Reads what has arrived of a body; at its end the exchange is answered. */
static void read_body(tri_exchange *exchange)
{
    tri_received received;
    do {
        if (tri_exchange_receive(exchange, &received) == TRI_EAGAIN) {
            tri_exchange_want(exchange, TRI_WANT_READ);
            return;
        }
        if (received.disconnect) {
            finish(exchange);
            return;
        }
        tri_exchange_take(exchange);
    } while (received.more);
    answer(exchange);
}

/* Sends every message that has arrived back; the socket ends with its disconnect. */
static void echo(tri_exchange *exchange)
{
    tri_ws_received received;
    while (tri_websocket_receive(exchange, &received) == 0) {
        if (received.type == TRI_WS_RECEIVED_DISCONNECT) {
            finish(exchange);
            return;
        }
        if (received.type == TRI_WS_RECEIVED_CONNECT) {
            report(tri_websocket_accept(exchange, NULL, 0, (tri_span){ .p = "" }));
            tri_websocket_drop_head(exchange);
        } else {
            const tri_ws_message *message = received.message;
            tri_loan loan = { .bytes = { message->bytes, message->n } };
            report(tri_websocket_send(exchange, &loan, message->text ? TRI_WS_TEXT : TRI_WS_BINARY));
        }
        tri_websocket_take(exchange);
    }
    tri_exchange_want(exchange, TRI_WANT_READ);
}

/* Goes on with an exchange that had to wait. */
static void resume(tri_exchange *exchange)
{
    if (tri_exchange_is_websocket(exchange))
        echo(exchange);
    else
        read_body(exchange);
}

/* Begins an exchange: one without a body is answered at once. */
static void begin(tri_exchange *exchange)
{
    if (tri_exchange_is_websocket(exchange))
        echo(exchange);
    else if (tri_exchange_head(exchange)->flags & TRI_HEAD_BODY)
        read_body(exchange);
    else
        answer(exchange);
}

/* Serves until a signal comes. */
static int serve(tri_server *server)
{
    while (!stopped) {
        tri_exchange *exchange;
        tri_server_sleep(server, true);
        int error = tri_server_turn(server, 1000);
        if (error != 0)
            return error;
        tri_server_cork(server);
        while ((exchange = tri_server_next(server)) != NULL)
            begin(exchange);
        while ((exchange = tri_server_next_woken(server)) != NULL)
            resume(exchange);
        tri_server_uncork(server);
        tri_server_flush(server);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int fds[TRI_LISTENER_MAX];
    tri_settings settings = {
        .mem = tri_mem_libc(),
        .date = true,
        .server = TRI_SPAN("tricorn"),
        .websockets = true,
        .deflate = { .enabled = true, .window_bits = 12, .level = 2, .mem_level = 5, .min_size = 128, .streams = 128 },
        .ws_stop_code = TRI_WS_RESTART,
    };
    tri_server *server = NULL;
    long port = argc >= 2 ? strtol(argv[1], NULL, 10) : 0;
    settings.http2_unasked = argc == 3 && strcmp(argv[2], "http2") == 0;
    if (port < 1 || port > 65535 || argc > 3 || (argc == 3 && !settings.http2_unasked)) {
        fputs("usage: limit PORT [http2]\n", stderr);
        return 2;
    }
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    tri_limits_default(&settings.limits);
    settings.limits.keep_alive_ms = 75000;
    if (tri_server_new(&server, &settings) != 0)
        return 1;
    int n = tri_listener_tcp("127.0.0.1", (uint16_t)port, 2048, fds);
    int error = n < 0 ? n : 0;
    for (int i = 0; i < n; i++)
        error = tri_server_listen(server, fds[i], 0) == 0 ? error : TRI_ESYS;
    if (error == 0)
        error = serve(server);
    tri_server_free(server);
    if (error != 0)
        perror("limit");
    return error != 0;
}
