/* The server as whoever runs applications sees it: turns of the reactor give exchanges, exchanges are read from and
   answered. Nothing here knows Python, and nothing here asks which version of HTTP carried an exchange. Not
   thread-safe: a server and its exchanges belong to one thread, save for tri_server_wake. */
#ifndef TRI_SERVER_TRICORN_H
#define TRI_SERVER_TRICORN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chain.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/span.h"
#include "http/head.h"
#include "http/protocol.h"
#include "net/addr.h"
#include "net/tls.h"
#include "net/tls_facts.h"
#include "server/forwarded.h"
#include "ws/protocol.h"
#include "ws/ws_deflate.h"

struct tri_http1_shared;
struct tri_ws_shared;
struct tri_access_config;
struct tri_access_fault;

/* Workers that can share the load at most. */
enum { TRI_SERVER_SLOTS = 1024 };

typedef struct tri_server tri_server;
typedef struct tri_exchange tri_exchange;

/* What makes the protocol of a new connection: `init` is called with `size` bytes, 8-aligned, that the connection
   keeps, and makes a tri_protocol of them that lives until its fini. `shared` is what HTTP/1.1 in C needs. */
typedef struct tri_protocol_kind {
    size_t size;
    void (*init)(void *memory, struct tri_http1_shared *shared, void *context);
    void *context;
} tri_protocol_kind;

/* The same for what reads and writes the frames of a WebSocket: `init` makes a tri_ws_protocol. */
typedef struct tri_ws_kind {
    size_t size;
    void (*init)(void *memory, struct tri_ws_shared *shared, void *context);
    void *context;
} tri_ws_kind;

typedef struct tri_settings {
    const tri_mem *mem; /* borrowed for the server's life */
    tri_limits limits;
    bool date;              /* send Date */
    tri_span server;        /* the Server field's value, n == 0 to send none; copied */
    tri_span defaults;      /* further field lines, each with its CRLF; copied */
    bool http2_unasked;     /* connections without TLS may begin with HTTP/2 (RFC 9113 §3.3) */
    tri_protocol_kind http; /* of the connections; with `init` NULL it is HTTP/1.1 in C */
    bool websockets;        /* whether a request may become one; else its Upgrade field is not looked at */
    tri_ws_kind ws;         /* of the WebSockets; with `init` NULL it is that in C */
    tri_ws_deflate_options deflate;
    int ws_stop_code; /* of the close frames when the server stops */
} tri_settings;

/* What tri_server_set_proxies is told; all is copied. */
typedef struct tri_proxy_options {
    tri_span allow;        /* who is trusted: see server/trust.h */
    uint32_t fields;       /* enum tri_forwarded_field, or-ed: what they are believed */
    uint32_t hops;         /* see tri_forwarded_rules */
    tri_span health_path;  /* answered with 200 as long as turns are made; n == 0 for none */
    tri_span ready_path;   /* answered with 200 or 503; n == 0 for none */
    uint32_t ready_lag_ms; /* with 503 also when tri_server_lag_ms is more; 0 for no limit */
} tri_proxy_options;

/* The status of a record that is about no request: connections wait to be accepted. */
#define TRI_REFUSAL_WAIT (-1)

/* What the log is told of a request that never reached the application, or of a connection that was given up. */
typedef struct tri_refusal {
    tri_addr peer;      /* the client, as far as it is known */
    int status;         /* what was answered, 0 when the connection was closed without an answer; TRI_REFUSAL_WAIT */
    const char *reason; /* static storage */
    uint64_t more;      /* that were left out since the record before this one */
} tri_refusal;

typedef struct tri_counters {
    uint64_t connections; /* accepted since the start */
    uint64_t exchanges;   /* begun since the start */
    uint64_t refusals;    /* answered or closed by the core since the start */
    uint64_t given;       /* connections accepted and handed over to another worker */
    uint64_t taken;       /* connections that another has handed over; they count as accepted */
    uint32_t open;        /* connections now */
    uint32_t active;      /* exchanges that an application is working on now */
    uint32_t lag_ms;      /* see tri_server_lag_ms */
} tri_counters;

/* A new server without listeners. TRI_ENOMEM, TRI_EMFILE, TRI_ESYS. The caller owns it. */
TRI_NODISCARD int tri_server_new(tri_server **out, const tri_settings *settings);
/* Closes every connection and listener at once; exchanges at work act as disconnected. The server stays valid. */
void tri_server_close(tri_server *server);
/* Closes and gives everything back. No exchange may be referenced any more. */
void tri_server_free(tri_server *server);

/* Accepts from the listening socket `fd`, which is owned from now on, whatever is returned. An address without a port,
   as that of a Unix socket, gets `tag` for one, by which its exchanges' local address tells the listener. TRI_ENOMEM,
   TRI_ESYS. */
TRI_NODISCARD int tri_server_listen(tri_server *server, int fd, uint16_t tag);
/* The same for a listener whose connections begin with a header of the PROXY protocol, which only trusted peers may
   send: call tri_server_set_proxies first. */
TRI_NODISCARD int tri_server_listen_proxied(tri_server *server, int fd, uint16_t tag);
/* Says whom to believe, and which paths the server answers itself; before it listens. TRI_ENOMEM, TRI_EINVAL for a list
   that tri_trust_init refuses; then nobody is believed. */
TRI_NODISCARD int tri_server_set_proxies(tri_server *server, const tri_proxy_options *options);
/* Has new connections speak TLS by `context`, whose reference is taken over; NULL: they come without. Those that are
   open stay as they are. */
void tri_server_set_tls(tri_server *server, tri_tls_context *context);
/* The descriptor to wait on; readable when a turn has something to do. */
int tri_server_fd(const tri_server *server);
/* One turn: accepts, reads and parses what is ready, writes to who is ready, fires timers. `timeout_ms` 0 does not
   wait, -1 waits without end. Returns 0 or TRI_ESYS. */
TRI_NODISCARD int tri_server_turn(tri_server *server, int timeout_ms);
/* The next exchange whose head has arrived, or NULL. The caller gets a reference and must end with tri_exchange_done
   and tri_exchange_unref. */
tri_exchange *tri_server_next(tri_server *server);
/* The next exchange on which tri_exchange_want was answered, or NULL; borrowed. */
tri_exchange *tri_server_next_woken(tri_server *server);
/* Takes the oldest record for the log into `out`; false when there is none. 64 may come at once, then one in a second:
   the last, with the number of the others. */
bool tri_server_next_refusal(tri_server *server, tri_refusal *out);
/* The same when the server ends: also the one whose second is not over. */
bool tri_server_last_refusal(tri_server *server, tri_refusal *out);
/* Whether the three above, or a flush, have something without a turn. */
bool tri_server_pending(const tri_server *server);
/* How many exchanges wait for tri_server_next(), at most `most`; costs as many steps. */
unsigned tri_server_waiting(const tri_server *server, unsigned most);
/* Holds answers back (nesting) so that those of one batch leave together; tri_server_flush and large answers still
 * write. */
void tri_server_cork(tri_server *server);
void tri_server_uncork(tri_server *server);
/* Writes every answer that waits. Call it before an application that was stepped corked stays suspended, too: a head
   that was held back for the first body bytes is let go. */
void tri_server_flush(tri_server *server);
/* Tells the server that its caller is about to wait for the descriptor (`asleep`), or that it no longer does. Asleep,
   the server makes the descriptor readable itself when there is work, and at the next deadline. A turn ends the sleep.
 */
void tri_server_sleep(tri_server *server, bool asleep);
/* Makes the descriptor readable. Safe in signal handlers and from other threads. */
void tri_server_wake(tri_server *server);

/* Has every answer from now on say Connection: close, as the server is about to stop; the requests of the turn that is
 * under way are answered so, too. Safe in signal handlers. */
void tri_server_leave(tri_server *server);
/* Others serve on at the same addresses while this one stops: its page for balancers goes on saying that requests are
 * taken. Safe in signal handlers. */
void tri_server_relieve(tri_server *server);
/* Begins to stop: answers what is queued in the listeners and sockets, each with Connection: close, closes idle
 * connections. */
void tri_server_stop(tri_server *server);
/* Whether a stop has ended: no connection is open and no application is at work. */
bool tri_server_drained(const tri_server *server);
void tri_server_counters(const tri_server *server, tri_counters *out);

/* Makes the access log's lines in C from now on; see server/access_log.h for the configuration, whose `mem` is not
   looked at. With an `fd`, which is borrowed for the server's life, they are written to it in pieces of at most `piece`
   bytes (0 for any), else only tri_exchange_log_line gives them. Once, and before the first turn. TRI_ENOMEM,
   TRI_EINVAL with `fault`. */
TRI_NODISCARD int tri_server_log_open(tri_server *server, const struct tri_access_config *config, int fd,
                                      uint32_t piece, struct tri_access_fault *fault);
/* Writes the lines that wait, as far as they are taken. Call it when the answers of a turn are written. */
void tri_server_log_write(tri_server *server);
/* The same, and waits up to `ms` for who takes them; what is left is lost. */
void tri_server_log_finish(tri_server *server, int ms);
/* How many lines were lost, if it is time to say so (`ending`: at any time), else 0; `*why` is the errno of it. */
uint64_t tri_server_log_lost(tri_server *server, bool ending, int *why);
/* To be called before a stop: every exchange of HTTP whose body was read then acts as if its peer had left, as far as
   tri_exchange_receive tells. */
void tri_server_dismiss(tri_server *server);
/* After so many exchanges from now on tri_server_limit_reached is true; 0 takes that back. */
void tri_server_limit(tri_server *server, uint64_t exchanges);
bool tri_server_limit_reached(const tri_server *server);
/* Whether the server is ready for new connections, as a balancer in front and other workers are told; false at first.
 */
void tri_server_set_ready(tri_server *server, bool ready);
/* Keeps the cell `slot` of the board in `fd` up to date (board.h), at each turn and every 250 ms, and measures the lag;
   the descriptor stays the caller's. TRI_EINVAL: it holds no such cell; TRI_ESTATE: a board is kept already; TRI_ESYS.
 */
TRI_NODISCARD int tri_server_report(tri_server *server, int fd, unsigned slot);
/* Has new connections handed over to workers that have clearly less, by `channels[slot]` for each slot of the board (-1
   for none), and takes those that come by `receive` (-1 for none): see balance.h. The descriptors stay the caller's,
   and must live as long as the server. TRI_ESTATE: it was called already; TRI_ENOMEM, TRI_ESYS. */
TRI_NODISCARD int tri_server_balance(tri_server *server, int receive, const int *channels, unsigned n);
/* Measures from now on how late the loop comes to the reactor. */
void tri_server_measure(tri_server *server);
/* How late it came lately, ms: the highest of the last five seconds, decaying; 0 while it is not measured. */
uint64_t tri_server_lag_ms(const tri_server *server);

/* What receive() gives. */
typedef struct tri_received {
    bool disconnect; /* the peer is gone, or the answer is complete: the rest is not set */
    bool more;       /* further body events follow */
    tri_span body;   /* borrowed until tri_exchange_take or the next turn */
} tri_received;

/* What can be waited for: something to receive, room to write; that the peer has left (tri_exchange_left) or the time
   is over (tri_exchange_timed_out), each told once. */
enum tri_want { TRI_WANT_READ = 1, TRI_WANT_WRITE = 2, TRI_WANT_LEFT = 4, TRI_WANT_TIMEOUT = 8 };

void tri_exchange_ref(tri_exchange *exchange);
void tri_exchange_unref(tri_exchange *exchange);
/* The caller's own pointer, NULL at first. */
void tri_exchange_set_user(tri_exchange *exchange, void *user);
void *tri_exchange_user(const tri_exchange *exchange);
/* Borrowed for the exchange's life. */
const tri_head *tri_exchange_head(const tri_exchange *exchange);
/* The client: the peer of the connection, or whom trusted proxies have named. */
const tri_addr *tri_exchange_peer(const tri_exchange *exchange);
/* What trusted proxies have said besides. */
const tri_forwarded *tri_exchange_forwarded(const tri_exchange *exchange);
/* What is known of the TLS that it came by, NULL without; borrowed for the exchange's life. */
tri_tls_facts *tri_exchange_tls(const tri_exchange *exchange);
const tri_addr *tri_exchange_local(const tri_exchange *exchange);

/* What is there to receive: 0, or TRI_EAGAIN when nothing is yet; then a promised 100 Continue is sent. Takes nothing.
 */
TRI_NODISCARD int tri_exchange_receive(tri_exchange *exchange, tri_received *out);
/* Takes what tri_exchange_receive last showed. */
void tri_exchange_take(tri_exchange *exchange);
/* Asks to be given out by tri_server_next_woken once it can be received from or written to. */
void tri_exchange_want(tri_exchange *exchange, unsigned want);
/* Nobody waits for that any more: the peer's deadlines for it no longer run. */
void tri_exchange_unwant(tri_exchange *exchange, unsigned want);
/* The final head; see submit_head of http/protocol.h. TRI_ECLOSED when the peer is gone. */
TRI_NODISCARD int tri_exchange_respond(tri_exchange *exchange, const tri_response *response);
/* Body bytes; see submit_body. On every error the loan was not taken. */
TRI_NODISCARD int tri_exchange_write(tri_exchange *exchange, const tri_loan *loan, bool end);
/* Whether fewer bytes than the limit wait for the peer. True when it is gone, too. */
bool tri_exchange_writable(const tri_exchange *exchange);
/* The peer can no longer be answered. */
bool tri_exchange_lost(const tri_exchange *exchange);
/* The peer is lost, or has ended its side: receive() has said so, or would. */
bool tri_exchange_left(const tri_exchange *exchange);
/* tri_exchange_receive has told it of a disconnect because the server stops. */
bool tri_exchange_dismissed(const tri_exchange *exchange);
/* The limit of time has passed before the answer was complete. */
bool tri_exchange_timed_out(const tri_exchange *exchange);
/* The status of the answer that the core gives in the place of one that the application did not: 500, 504 when the time
   was over, 503 when the server had dismissed it. */
int tri_exchange_failure(const tri_exchange *exchange);
/* An answer was begun, or completed. */
bool tri_exchange_started(const tri_exchange *exchange);
bool tri_exchange_complete(const tri_exchange *exchange);
/* Whether the request asks for a WebSocket: then the calls below are for it. Until tri_websocket_accept or
   tri_websocket_deny it is undecided. */
bool tri_exchange_is_websocket(const tri_exchange *exchange);
/* Whether it was accepted, and whether messages can be sent now. */
bool tri_websocket_accepted(const tri_exchange *exchange);
bool tri_websocket_is_open(const tri_exchange *exchange);
/* Whether it ended without the peer's close frame: nobody confirms that what waited is written. */
bool tri_websocket_broken(const tri_exchange *exchange);
/* Whether the handshake has not been answered, and still can be. */
bool tri_websocket_is_undecided(const tri_exchange *exchange);
/* The request's head is needed no more: nothing of it is to be asked for. After tri_websocket_accept only. */
void tri_websocket_drop_head(tri_exchange *exchange);

enum tri_ws_received_type { TRI_WS_RECEIVED_CONNECT, TRI_WS_RECEIVED_MESSAGE, TRI_WS_RECEIVED_DISCONNECT };

/* What receive() gives of a WebSocket; borrowed until tri_websocket_take or the next turn. */
typedef struct tri_ws_received {
    enum tri_ws_received_type type;
    const tri_ws_message *message; /* MESSAGE */
    int code;                      /* DISCONNECT: enum tri_ws_code, or the application's own */
    tri_span reason;               /* and why, UTF-8 */
} tri_ws_received;

/* What is there to receive: 0, or TRI_EAGAIN when nothing is yet. Takes nothing. The disconnect is there for ever. */
TRI_NODISCARD int tri_websocket_receive(tri_exchange *exchange, tri_ws_received *out);
/* Takes what tri_websocket_receive last showed. */
void tri_websocket_take(tri_exchange *exchange);
/* Completes the handshake, with these fields but for those that are its own, and a subprotocol unless it is empty.
   TRI_ECLOSED: the peer is gone; TRI_ESTATE: it was answered already; TRI_EINVAL: a field may not be sent. */
TRI_NODISCARD int tri_websocket_accept(tri_exchange *exchange, const tri_field_out *fields, size_t n,
                                       tri_span subprotocol);
/* The request will be answered as any other, by tri_exchange_respond and tri_exchange_write. TRI_ECLOSED, TRI_ESTATE.
 */
TRI_NODISCARD int tri_websocket_deny(tri_exchange *exchange);
/* Sends a message. On every error the loan was not taken. TRI_ESTATE: not accepted yet; TRI_ECLOSED: closed. */
TRI_NODISCARD int tri_websocket_send(tri_exchange *exchange, const tri_loan *loan, enum tri_ws_data data);
/* See `shares` and `submit_shared` of ws/protocol.h. */
int tri_websocket_shares(const tri_exchange *exchange, size_t n);
TRI_NODISCARD int tri_websocket_send_shared(tri_exchange *exchange, const tri_loan *frame, bool compressed);
/* Compresses a message by itself, with a window of 2^bits bytes; `*out` is valid until the next message is compressed.
 */
TRI_NODISCARD int tri_server_deflate(tri_server *server, unsigned bits, tri_span message, tri_span *out);
/* Begins the closing handshake; `reason` has at most TRI_WS_REASON_MOST bytes. Errors as tri_websocket_send's. */
TRI_NODISCARD int tri_websocket_close(tri_exchange *exchange, int code, tri_span reason);

/* Whether the access log leaves this exchange out. */
bool tri_exchange_log_excludes(const tri_exchange *exchange);
/* The exchange's line for the access log: into the server's descriptor (log_write), or into `*line`, valid until the
   next one; false when its path is not logged. After tri_server_log_open only, and while there is a head. */
void tri_exchange_log_write(tri_exchange *exchange, int status);
bool tri_exchange_log_line(tri_exchange *exchange, int status, tri_span *line);

/* The application has returned or failed: without an answer the peer gets a 500, or a 504 when its time was over; an
   unfinished answer ends the connection. */
void tri_exchange_done(tri_exchange *exchange);

#endif
