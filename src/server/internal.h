/* What the files of the server share: the layout of a server, a connection and an exchange. */
#ifndef TRI_SERVER_INTERNAL_H
#define TRI_SERVER_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/small.h"
#include "base/timer.h"
#include "http/http1.h"
#include "net/listener.h"
#include "net/reactor.h"
#include "net/socket.h"
#include "net/tls.h"
#include "server/access_log.h"
#include "server/access_sink.h"
#include "server/balance.h"
#include "server/board.h"
#include "server/lag.h"
#include "server/tricorn.h"
#include "ws/ws.h"

enum {
    TRI_SERVER_READ = 65536,       /* bytes of the shared read buffer */
    TRI_SERVER_READS = 4,          /* times that it is filled from one socket in a turn */
    TRI_SERVER_EVENTS = 256,       /* descriptors of one turn */
    TRI_SERVER_ACCEPTS = 64,       /* connections accepted from one listener in a turn */
    TRI_SERVER_SHAKES = 16,        /* steps of TLS handshakes in a turn, up to a millisecond each */
    TRI_SERVER_INFLATED = 1048576, /* bytes of messages that are inflated in a turn; the rest waits for the next */
    TRI_SERVER_REFUSALS = 64,      /* records that wait for the log; as many may come at once */
    TRI_SERVER_REFUSAL_MS = 1000,  /* after those, from one to the next */
    TRI_SERVER_FLUSH = 65536,      /* waiting bytes that are written even while corked */
    TRI_SERVER_IN_ROW = 64,        /* pipelined requests of a connection before others have their turn */
    TRI_SERVER_AHEAD = 16384,      /* bytes of pipelined requests that are read ahead */
    TRI_SERVER_SPARE = 64,         /* idle objects that a pool keeps for good */
    TRI_SERVER_TRIM_MS = 500,      /* until those beyond go back to the system */
    TRI_SERVER_RETRY_MS = 100,     /* until accepting is tried again when out of descriptors */
    TRI_SERVER_SHORT_MS = 60000,   /* without such a pause, until the next one is news for the log */
    TRI_SERVER_INFLIGHT_MS = 250, /* at a stop, how long a connection used a moment ago may bring a request under way */
    TRI_SERVER_RELIEVED_MS = 1000, /* the same where others serve on, and nobody waits for the stop */
    TRI_SERVER_LOG_MS = 50,        /* until lines of the access log are written that no turn has taken along */
    TRI_SERVER_LOST_MS = 10000,    /* between two reports of lines that were lost */
    TRI_SERVER_RECENT_MS = 1000,   /* what counts as a moment ago */
    TRI_EXCHANGE_INLINE = 1536,    /* bytes of a head kept inside the exchange */
};

enum tri_source_kind { TRI_SOURCE_LISTENER, TRI_SOURCE_CONN, TRI_SOURCE_CHANNEL };

enum tri_conn_flag {
    TRI_CONN_CLOSED = 1,      /* the descriptor is closed; freed before the next turn */
    TRI_CONN_EOF = 2,         /* the peer ended its side */
    TRI_CONN_BLOCKED = 4,     /* the socket took less than we had: waiting for TRI_WRITE */
    TRI_CONN_LINGERING = 8,   /* our side has ended; reading on until the peer's does */
    TRI_CONN_USED = 16,       /* a head has been completed on it */
    TRI_CONN_IN_HEAD = 32,    /* `deadline` is that of a head whose first byte has come */
    TRI_CONN_ENDING = 64,     /* nothing more is parsed: close, lingering, once what waits is written */
    TRI_CONN_MORE = 128,      /* the peer of the last exchange may be sending another request */
    TRI_CONN_TRUSTED = 256,   /* what the peer's fields say of the client is believed */
    TRI_CONN_PROXY = 512,     /* a PROXY header has not come to its end yet: nothing is given to the protocol */
    TRI_CONN_SKIPPING = 1024, /* of it, `dropped` bytes are left that say nothing */
    TRI_CONN_CHOOSING = 2048, /* its first bytes may turn out to be HTTP/2: those that may be are kept in `in` */
    TRI_CONN_STREAMS = 4096,  /* it speaks HTTP/2: it has many exchanges at once, and frames of its own to write */
    TRI_CONN_CUT = 8192,      /* an answer was left unfinished: TLS does not say that it has ended */
    TRI_CONN_TOLD = 16384,    /* its peer has been told that no further request is wanted */
    TRI_CONN_WORKED = 32768,  /* of streams: a request has come since it was last idle */
};

typedef struct tri_listener {
    tri_source source;
    tri_list link;
    tri_addr address;
    bool proxied; /* connections begin with a PROXY header */
} tri_listener;

/* What proxies are believed, and what they are told. */
typedef struct tri_proxies {
    tri_trust trust;
    tri_forwarded_rules rules;
    char *paths; /* the two below, NULL when both are empty */
    size_t paths_size;
    tri_span health_path;
    tri_span ready_path;
    uint32_t ready_lag_ms; /* of the turns, more than which is not ready; 0 for any */
} tri_proxies;

typedef struct tri_conn {
    tri_source source;
    tri_list link;      /* in server->conns, or in server->graves once closed */
    tri_list flush;     /* in server->flush while an answer waits */
    tri_list resume;    /* in server->resume while bytes that were read ahead may be parsed, or in server->later */
    tri_list exchanges; /* those not yet complete */
    tri_timer timer;
    tri_server *server;
    tri_protocol *protocol; /* made in `memory` */
    tri_tls *tls;           /* NULL without */
    tri_buf in;             /* read ahead, or not yet parsed */
    uint64_t deadline;      /* ms: of the head, the idle time or the lingering, whichever it is in */
    uint64_t body_since;    /* ms: the window of body_ms began, 0 for none; time in which nobody waits is added to it */
    uint64_t write_since;   /* ms: blocked without progress since */
    union {                 /* an idle connection counts in bytes */
        uint64_t body_bytes; /* came since body_since; streams count their own */
        uint64_t last_at; /* ms: of streams, when requests that are under way are no longer waited for; 0 for never */
    };
    uint32_t unsent;  /* bytes in the kernel's hands at write_since */
    uint32_t dropped; /* bytes of an unread body that were read for nothing; first, of a PROXY header to come */
    uint32_t ahead;   /* bytes of `in` that had arrived at a stop; UINT32_MAX before one */
    uint16_t flags;   /* enum tri_conn_flag */
    tri_addr peer;    /* who sends the requests: the other end of the socket, or whom its PROXY header names */
    tri_addr local;
    _Alignas(8) char memory[]; /* of the protocol: as many bytes as its kind says */
} tri_conn;

enum tri_exchange_flag {
    TRI_EXCHANGE_BODY_END = 1,   /* the whole body is in `body` or was taken */
    TRI_EXCHANGE_END_TAKEN = 2,  /* the event with more == false was taken */
    TRI_EXCHANGE_PEER_ENDED = 4, /* the peer ended its side after the request */
    TRI_EXCHANGE_LOST = 8,       /* the connection is gone */
    TRI_EXCHANGE_STARTED = 16,   /* a head was submitted */
    TRI_EXCHANGE_WROTE = 32,     /* a body event was submitted: the head can no longer be taken back */
    TRI_EXCHANGE_COMPLETE = 64,  /* the answer is complete */
    TRI_EXCHANGE_READ = 128,     /* receive() was called */
    TRI_EXCHANGE_DONE = 256,     /* the application has returned */
    TRI_EXCHANGE_TIMED_OUT = 512,
    TRI_EXCHANGE_SMALL = 1024,     /* without the room of inline_head, not of the pool */
    TRI_EXCHANGE_DISMISSED = 2048, /* was told of a disconnect because the server stops */
};

struct tri_exchange {
    tri_server *server;
    tri_conn *conn; /* NULL once complete or lost */
    tri_list link;  /* in conn->exchanges */
    tri_list queue; /* in server->ready or server->woken */
    void *user;
    tri_head *head;
    tri_buf body;
    uint32_t refs;
    uint32_t stream;
    uint16_t flags;           /* enum tri_exchange_flag */
    uint8_t wants;            /* enum tri_want */
    struct tri_websocket *ws; /* when it is one */
    uint64_t deadline;        /* ms: of the answer, or of what a WebSocket waits for; 0 for none */
    uint64_t waited_until;    /* ms: when receive() last ceased to wait */
    uint64_t received;        /* bytes of the body that have come */
    uint64_t body_since;      /* as in a connection, of a stream */
    uint64_t body_bytes;      /* the same; of a WebSocket on a stream, what was taken and is not yet to be replaced */
    tri_addr peer;            /* the client, as far as it is known */
    uint64_t sent;            /* bytes of the answer's body */
    uint64_t began_ns;        /* when the head had come, where the access log wants to know */
    char *logged;             /* fields of the answer that it wants: see exchange_log.c; NULL for none */
    tri_addr local;
    tri_tls_facts *tls;      /* NULL where it came without */
    tri_forwarded forwarded; /* what a proxy has said besides */
    const tri_mem *mem;
    _Alignas(8) char inline_head[TRI_EXCHANGE_INLINE];
};

/* What the log is to be told of refusals. */
typedef struct tri_refusals {
    tri_refusal waiting[TRI_SERVER_REFUSALS]; /* a ring */
    uint32_t first;
    uint32_t n;
    uint64_t paid_until; /* ms: by then those that were told are as many as one for each TRI_SERVER_REFUSAL_MS */
    uint64_t tell_at;    /* ms: `last` is told then, with the number of those left out; 0 while none was */
    tri_refusal last;
} tri_refusals;

struct tri_server {
    const tri_mem *mem;
    tri_limits limits;
    tri_reactor *reactor;
    tri_wheel wheel;
    tri_chain_pool chains;
    tri_small small; /* what HTTP/2 takes its memory from */
    tri_http1_shared http1;
    tri_protocol_kind kind;
    tri_ws_shared ws;
    tri_ws_kind ws_kind; /* without `init`: no WebSockets */
    tri_ws_deflate_options deflate;
    uint16_t ws_stop_code;
    tri_pool conn_pool;
    tri_pool exchange_pool;
    tri_tls_context *tls; /* of new connections; NULL: they come without */
    tri_list listeners;
    tri_list conns;
    tri_list graves; /* closed connections, freed at the start of the next turn */
    tri_list ready;
    tri_list woken;
    tri_list flush;
    tri_list resume;
    tri_list later;           /* connections that wait for the next turn, or one in which less is inflated, in order */
    unsigned shakes;          /* steps of handshakes in this turn */
    uint32_t handshakes;      /* completed since memory last went back to the system */
    uint32_t handshakes_seen; /* of them before the last look */
    unsigned in_row;          /* exchanges taken one after another from `resume` */
    tri_counters counters;
    uint64_t now;      /* ms, of the current turn */
    uint64_t trim_at;  /* ms: pools shrink then, 0 while they are small */
    uint64_t retry_at; /* ms: accepting pauses until then, 0 while it does not */
    tri_lag lag;
    tri_board board;
    tri_balance balance;
    int64_t date_second;
    uint32_t corks;
    bool asleep;
    bool open_to_new; /* for new connections, as the board and the page for it say */
    bool leaving;     /* a stop has been asked for: answers say close */
    bool relieved;    /* others serve on where it listens: nobody is to be told that it leaves */
    bool stopping;
    bool dismissing; /* a stop has exchanges end that wait for their peer to leave */
    uint64_t most;   /* exchanges until the limit is reached, 0 for none */
    bool send_date;
    bool http2_unasked; /* connections without TLS may begin with HTTP/2 */
    tri_proxies proxies;
    char date[48];
    tri_span date_line;
    char *lines; /* server line, then defaults */
    size_t lines_size;
    tri_span server_line;
    tri_span default_lines;
    tri_refusals refusals;
    tri_access_log *log; /* NULL: no line is written, or others make them */
    unsigned log_needs;  /* enum tri_access_need */
    unsigned log_sent;   /* fields of answers that it wants */
    bool log_direct;     /* lines go to `sink` */
    tri_access_sink sink;
    uint64_t log_at;      /* ms: lines are written then, 0 while none wait */
    uint64_t reported_at; /* ms: of lines that were lost */
    uint64_t short_at;    /* ms: when accepting had to pause last, 0 for never */
    char read[TRI_SERVER_READ];
};

/* accept.c */
void tri_accept_ready(tri_server *server, tri_listener *listener);
void tri_accept_resume(tri_server *server);
void tri_accept_handed(tri_server *server);
void tri_accept_forget_channel(tri_server *server);
void tri_accept_drain(tri_server *server);
void tri_accept_close(tri_server *server, tri_listener *listener);

/* conn.c */
void tri_conn_open(tri_server *server, int fd, const tri_addr *peer, const tri_listener *listener);
void tri_conn_readable(tri_conn *conn);
void tri_conn_read_now(tri_conn *conn);
void tri_conn_hung_up(tri_conn *conn);
void tri_conn_go_on(tri_conn *conn);
void tri_conn_resume(tri_conn *conn);
void tri_conn_watch(tri_conn *conn);
void tri_conn_queue_resume(tri_conn *conn);
/* At a stop, and once: what was read ahead had arrived before it. */
void tri_conn_count_ahead(tri_conn *conn);
bool tri_conn_has_more(const tri_conn *conn);
bool tri_conn_is_ahead(const tri_conn *conn);
void tri_conn_continue(tri_conn *conn);

/* conn_choose.c */

/* Has the connection speak HTTP/2, where it is built, in place of the protocol that it began with. */
void tri_conn_speak_http2(tri_conn *conn);
/* Looks whether the bytes that have come are HTTP/2's preface, behind what is kept of it; returns whether that is
   known, and the bytes can be parsed. */
TRI_NODISCARD bool tri_conn_choose(tri_conn *conn, const char *bytes, size_t n);

/* conn_proxy.c */
TRI_NODISCARD bool tri_conn_proxy_begin(tri_conn *conn, const tri_listener *listener);
TRI_NODISCARD bool tri_conn_proxy_take(tri_conn *conn, char **bytes, size_t *n);

/* conn_streams.c; of connections that have streams only */

/* So many bytes of a body were taken: the peer may send as many more. */
void tri_conn_streams_consumed(tri_conn *conn, uint32_t stream, size_t n);
bool tri_conn_streams_want_read(const tri_conn *conn);
/* After bytes were parsed, and frames may have been made of them. */
void tri_conn_streams_settle(tri_conn *conn);
/* Whether fewer bytes than the limit wait on its stream. */
bool tri_conn_streams_writable(const tri_exchange *exchange);
/* Gives waiting calls of send() their wake-up once the peer has let enough go. */
void tri_conn_streams_wake(tri_conn *conn);
/* What could be was written: the clock of those runs whose peer lets no more of them go. */
void tri_conn_streams_flushed(tri_conn *conn);
/* Bytes of a WebSocket's stream: the peer may send as many more once the messages that they make have room. */
void tri_conn_streams_tunnel(tri_exchange *exchange, tri_span bytes);
/* Room has been made for further messages. */
void tri_conn_streams_took(tri_exchange *exchange);
/* Ends an exchange, and its stream, alone, behind what it has sent. */
void tri_conn_streams_reset(tri_exchange *exchange, enum tri_reset why);
/* The answer is complete, and the peer still sends its request: the rest is dropped when it is known to be little, else
   the peer is told to leave it. */
void tri_conn_streams_leave_body(tri_exchange *exchange);
/* All is written, and no exchange is at work: whether nothing of a request has been since the last time, so that the
   connection goes on being idle. */
bool tri_conn_streams_rest(tri_conn *conn);
uint64_t tri_conn_streams_body_deadline(const tri_conn *conn);
uint64_t tri_conn_streams_write_deadline(const tri_conn *conn);
/* Acts on the deadlines that have passed. */
void tri_conn_streams_expire(tri_conn *conn);
/* Tells the peer that no further request is wanted; those that are under way are still taken for a moment. */
void tri_conn_streams_leave(tri_conn *conn);
/* Tells the peer of the end, and ends. */
void tri_conn_streams_end(tri_conn *conn);

/* conn_tls.c; but for the first and the last, of connections with TLS only */
TRI_NODISCARD bool tri_conn_tls_begin(tri_conn *conn);
TRI_NODISCARD bool tri_conn_tls_ready(tri_conn *conn);
unsigned tri_conn_tls_interest(const tri_conn *conn, unsigned interest);
void tri_conn_tls_queue(tri_conn *conn);
/* Ends our side, as far as the socket takes that now; the rest by the next call. Whether it has ended. */
bool tri_conn_tls_end(tri_conn *conn);
/* Whether nothing of TLS is left to be told before the descriptor is closed. */
bool tri_conn_tls_has_ended(tri_conn *conn);
void tri_conn_tls_fini(tri_conn *conn);

/* conn_write.c */
void tri_conn_queue_flush(tri_conn *conn);
void tri_conn_flush(tri_conn *conn);
void tri_conn_end(tri_conn *conn);
void tri_conn_close(tri_conn *conn);
void tri_conn_lose(tri_conn *conn, const char *reason);

/* conn_timer.c */
void tri_conn_idle(tri_conn *conn);
void tri_conn_retime(tri_conn *conn);
void tri_conn_timeout(tri_conn *conn);

/* refuse.c */
void tri_refuse(tri_conn *conn, int status, const char *reason);
void tri_refuse_text(tri_conn *conn, int status, const char *reason, const char *text);
void tri_refuse_head(tri_conn *conn, const tri_event *event, int status, const char *reason);
/* The same for the request of one stream, while others go on. */
void tri_refuse_exchange(tri_exchange *exchange, int status, const char *reason);
void tri_refuse_record(tri_conn *conn, int status, const char *reason);

/* exchange.c */
TRI_NODISCARD int tri_exchange_open(tri_conn *conn, const tri_event *event, bool websocket);
void tri_exchange_lose(tri_exchange *exchange);
/* The server stops: whoever waits for the peer to leave is told that it has. */
void tri_exchange_dismiss(tri_exchange *exchange);
/* The time of the answer is over. */
void tri_exchange_expire(tri_exchange *exchange);
void tri_exchange_notify(tri_exchange *exchange, unsigned what);
/* The answer, or our side of an upgraded stream, is complete. */
void tri_exchange_end(tri_exchange *exchange);
/* The chain of an upgraded exchange; NULL when its stream is over, of which it is about to hear. */
tri_chain *tri_exchange_tunnel(const tri_exchange *exchange);
/* Bytes that wait for its peer. */
size_t tri_exchange_waiting(const tri_exchange *exchange);

/* proxies.c */
TRI_NODISCARD int tri_proxies_set(tri_server *server, const tri_proxy_options *options);
void tri_proxies_fini(tri_server *server);

/* exchange_log.c */
void tri_exchange_log_head(tri_exchange *exchange, const tri_response *response);
void tri_exchange_log_forget(tri_exchange *exchange);

/* server_log.c */
void tri_server_log_wait(tri_server *server);
void tri_server_log_fini(tri_server *server);

/* server_refusals.c */

/* Counts a refusal and has the log told, of this one or of a later one that counts it. */
void tri_server_refused(tri_server *server, const tri_addr *client, int status, const char *reason);
/* Has the log told that connections wait to be accepted; false when too much waits for it already. */
bool tri_server_short(tri_server *server, const char *reason);
/* Has it told of the last refusal that was left out, once it is time to. */
void tri_server_tell_last(tri_server *server);

/* server_stop.c */

/* At a stop: for how long a connection may bring what is under way. */
uint32_t tri_server_inflight_ms(const tri_server *server);

/* server_trim.c */

/* Some time after a rush, what it has left in the pools and nobody has needed since goes back to the system. */
void tri_server_trim(tri_server *server);

/* server.c */
void tri_server_fill_response(tri_server *server, tri_response *response);
/* Brings the time and the Date line up to now. */
void tri_server_tick(tri_server *server);
/* Has the board say whether new connections are welcome, and whether a stop was asked for. */
void tri_server_show_flags(tri_server *server);
void tri_server_work(tri_server *server);
uint64_t tri_server_now(tri_server *server);
/* The number of open connections has changed. */
void tri_server_count_open(tri_server *server, int change);

#endif
