/* What the files of the binding share: the module's state and the layouts of its types. */
#ifndef TRI_PY_MODULE_H
#define TRI_PY_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/list.h"
#include "py/name_cache.h"
#include "py/parser.h"
#include "py/ws_python.h"
#include "server/tricorn.h"

/* Names that are looked up or stored for every request, interned once: C identifier, text. */
/* clang-format off */
#define TRI_NAMES(X) \
    X(type, "type") X(asgi, "asgi") X(http_version, "http_version") X(server, "server") X(client, "client") \
    X(method, "method") X(path, "path") X(raw_path, "raw_path") X(query_string, "query_string") \
    X(headers, "headers") X(state, "state") X(extensions, "extensions") X(v1_0, "1.0") X(v2, "2") X(body, "body") \
    X(more_body, "more_body") X(status, "status") X(trailers, "http.response.trailers") \
    X(http_request, "http.request") X(http_disconnect, "http.disconnect") \
    X(http_response_start, "http.response.start") X(http_response_body, "http.response.body") \
    X(websocket, "websocket") X(ws, "ws") X(subprotocols, "subprotocols") X(scheme, "scheme") \
    X(websocket_connect, "websocket.connect") X(websocket_receive, "websocket.receive") \
    X(websocket_disconnect, "websocket.disconnect") X(websocket_accept, "websocket.accept") \
    X(websocket_send, "websocket.send") X(websocket_close, "websocket.close") \
    X(websocket_start, "websocket.http.response.start") X(websocket_body, "websocket.http.response.body") \
    X(websocket_response, "websocket.http.response") \
    X(text, "text") X(bytes, "bytes") X(code, "code") X(reason, "reason") X(subprotocol, "subprotocol") \
    X(http, "http") X(https, "https") X(wss, "wss") X(root_path, "root_path") \
    X(tls, "tls") X(client_cert_chain, "client_cert_chain") \
    X(wait, "wait") X(wake, "wake") X(GET, "GET") X(HEAD, "HEAD") X(POST, "POST") X(PUT, "PUT") \
    X(DELETE, "DELETE") X(PATCH, "PATCH") X(OPTIONS, "OPTIONS")
/* clang-format on */

typedef struct tri_state {
    PyTypeObject *server_type;
    PyTypeObject *runner_type;
    PyTypeObject *exchange_type;
    PyTypeObject *awaitable_type;
    PyTypeObject *bridge_type;
    PyTypeObject *cancel_type;
    PyTypeObject *loop_future_type;
    PyTypeObject *signal_type;
    struct tri_watchdog *watchdog; /* NULL while there is no deadline */
    PyObject *client_disconnected; /* the exception class */
    PyObject *empty_bytes;
    PyObject *done; /* an Awaitable that has None ready; shared by every send() that need not wait */
#define X(name, text) PyObject *name;
    struct {
        TRI_NAMES(X)
    } names;
#undef X
} tri_state;

extern struct PyModuleDef tri_module_def;

/* The state of the module that defined `type`, or of a subclass of it; never NULL for our own types. */
static inline tri_state *tri_state_of(PyTypeObject *type)
{
    return PyModule_GetState(PyType_GetModuleByDef(type, &tri_module_def));
}

enum { TRI_PEER_CACHE = 16, TRI_TLS_CACHE = 4 };

/* A server, as Python sees it. */
typedef struct tri_py_server {
    PyObject_HEAD
    tri_server *core;
    tri_state *state; /* borrowed: the type keeps the module alive */
    PyObject *app;
    PyObject *scope;          /* what every scope has in common */
    PyObject *prototype;      /* the same with a place for every other key, to be copied: it never grows then */
    PyObject *ws_prototype;   /* the same for WebSockets */
    PyObject *asgi;           /* scope["asgi"], copied for each */
    PyObject *lifespan_state; /* dict, copied for each exchange, or NULL */
    PyObject *root_path;      /* str, encoded as bytes in root_path_bytes */
    PyObject *access_log;     /* callable or NULL */
    PyObject *on_lost;        /* callable(lines of the access log that were lost, errno), or NULL */
    uint8_t access;           /* enum tri_access_way */
    PyObject *on_error;       /* callable(exception or None, gone, started, cause of a cancellation) */
    PyObject *on_refusal;     /* callable(client, status, reason, others that were left out) */
    PyObject *spawn;          /* callables of the backend; NULL until attach() */
    PyObject *wait;
    PyObject *park;
    PyObject *checkpoint;
    PyObject *ending;
    PyObject *stray;
    PyObject *refuse;                 /* callable(trap), or None where the library refuses foreign traps by itself */
    PyObject *canceller;              /* callable(runner): gives a callable that cancels that task, the calling one */
    PyObject *unix_names;             /* scope["server"] of each listener that is a Unix socket */
    PyObject *extensions;             /* scope["extensions"], copied for each */
    unsigned cancels;                 /* enum tri_cancel_cause: for what every exchange is cancelled */
    unsigned tls_next;                /* of `tls_facts` is replaced next */
    struct tri_py_exchange *stepping; /* the exchange whose application is being stepped, borrowed, or NULL */
    PyObject *context;                /* contextvars.Context that every exchange starts from a copy of */
    tri_name_cache names;
    tri_parser_kind parser;
    tri_ws_python_kind ws_python;
    tri_addr local_addr; /* the address last bound to, and its pair: mostly the same for all */
    PyObject *local_pair;
    tri_addr peer_addrs[TRI_PEER_CACHE]; /* peers seen last, and their hosts as str, direct-mapped */
    PyObject *peer_hosts[TRI_PEER_CACHE];
    tri_tls_facts
        *tls_facts[TRI_TLS_CACHE]; /* of connections seen last whose clients have no certificate; see tls_scope.c */
    tri_list to_wake;              /* awaitables that the leader wakes */
    tri_list noticing;             /* awaitables of notice() */
    tri_list posted;               /* signals that threads have posted */
    unsigned interrupts;           /* requests to stop; written in signal handlers */
    unsigned noticed;              /* of which notice() has told */
    bool drained_told;
    bool closed;
    PyObject *leader;     /* the runner that leads, or NULL; borrowed */
    unsigned starting;    /* serving tasks that were started and have not begun: the first to begin leads (I1) */
    unsigned ahead;       /* how many were of use lately, beside the next leader */
    bool turned;          /* the library's loop has turned when they begin */
    unsigned broadcasts;  /* sockets that broadcasts were for since the library had its turn */
    unsigned batch;       /* exchanges stepped in this turn of the library's loop */
    uint64_t batch_since; /* ns */
} tri_py_server;

/* How a request gets into the access log. */
enum tri_access_way {
    TRI_ACCESS_OFF,
    TRI_ACCESS_CALL,   /* access_log(client, method, target, version, status) */
    TRI_ACCESS_TEXT,   /* access_log(line) */
    TRI_ACCESS_DIRECT, /* the core writes it */
};

/* Why an exchange is cancelled, or would be. */
enum tri_cancel_cause { TRI_CANCEL_LEFT = 1, TRI_CANCEL_TIMEOUT = 2 };

/* One request at work. */
typedef struct tri_py_exchange {
    PyObject_HEAD
    tri_py_server *server;
    tri_exchange *core;
    tri_list waiters;   /* awaitables that wait for this exchange */
    uint64_t run_since; /* ns: when send() last gave the loop a chance (I9) */
    unsigned immediate; /* completions of send() in a row without suspending */
    bool websocket;
    bool gone;     /* a WebSocket that had ended when its application did */
    uint16_t told; /* disconnects that receive() has given since it last let others run */
    int status;
    PyObject *cancel;  /* callable that cancels its task, once it has suspended and may be cancelled */
    uint8_t cancels;   /* enum tri_cancel_cause: for what it is cancelled */
    uint8_t watched;   /* what of that the core tells */
    uint8_t cancelled; /* why it was, 0 while it was not */
} tri_py_exchange;

/* After so many sends in a row, or so long, send() is a checkpoint (I9). */
enum { TRI_SEND_RUN = 64, TRI_SEND_RUN_NS = 1000000 };
/* After so many disconnects receive() is one, too: an application that does not end at them must not stop all others.
 */
enum { TRI_TOLD_RUN = 1000 };

/* module.c: makes a heap type that belongs to the module, and adds it there; 0, or -1 with an exception. */
int tri_module_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type);

/* Each adds the types of a file to the module. */
int tri_server_type_add(PyObject *module, tri_state *state);
int tri_runner_add(PyObject *module, tri_state *state);
int tri_exchange_type_add(PyObject *module, tri_state *state);
int tri_awaitable_add(PyObject *module, tri_state *state);
int tri_loop_bridge_add(PyObject *module, tri_state *state);

/* runner.c: what a new serving task awaits, or NULL. */
PyObject *tri_runner_new(tri_py_server *server);

/* scope.c: makes the prototype of all scopes; 0, or -1 with an exception. */
int tri_scope_prepare(tri_py_server *server);
/* A new scope dictionary for an exchange, or NULL. */
PyObject *tri_scope_new(tri_py_server *server, const tri_exchange *exchange);
/* (host, port) or None for an address without one; a new reference. */
PyObject *tri_scope_address(const tri_addr *addr);
/* Drops the addresses that are kept for the next scopes. */
void tri_scope_forget(tri_py_server *server);
/* The target as received, a str. */
PyObject *tri_scope_text(tri_span bytes);

/* exchange_type.c: takes over a reference to `core`, also on failure. */
tri_py_exchange *tri_exchange_type_new(tri_py_server *server, tri_exchange *core);
PyObject *tri_exchange_type_receive(tri_py_exchange *exchange);
PyObject *tri_exchange_type_send(tri_py_exchange *exchange);
/* The exchange whose send() it is, borrowed; NULL when it is none. */
tri_py_exchange *tri_exchange_type_of(PyObject *send);
/* Moves everyone who waits for the exchange to the server's to_wake. */
void tri_exchange_type_wake(tri_py_exchange *exchange);

/* cancel.c: asks to be told of what the exchange is to be cancelled for, now that it has suspended in `runner`'s task.
 */
void tri_cancel_watch(tri_py_exchange *exchange, PyObject *runner);
/* What cancels the exchange, a new reference, if there is cause; else NULL. */
PyObject *tri_cancel_take(tri_py_exchange *exchange);
/* The extension by which an application asks for it, a new reference or NULL. */
PyObject *tri_cancel_extension(tri_py_server *server);
int tri_cancel_add(PyObject *module, tri_state *state);

/* message.c: hands a message of send() to the core; 0, or -1 with an exception. */
int tri_message_send(tri_py_exchange *exchange, PyObject *message, bool *end);

/* server_type.c: calls that may fail in ways that only the log cares about. */
void tri_server_type_error(tri_py_exchange *exchange, PyObject *exception);
void tri_server_type_refusals(tri_py_server *server);
/* The same when the server ends, which leaves nothing out. */
void tri_server_type_last_refusals(tri_py_server *server);
/* Moves those who wait for a notice to to_wake if there is one. */
void tri_server_type_notices(tri_py_server *server);
/* The notice that is due: 0 for none. */
unsigned tri_server_type_notice(tri_py_server *server);
bool tri_server_type_ending(tri_py_server *server);
/* access.c: logs the exchange, whose answer is complete or will never be. Only when server->access says how. */
void tri_access_tell(tri_py_exchange *exchange);
/* Writes the access log's lines that wait, and tells of those that were lost. */
void tri_access_write(tri_py_server *server);
/* Methods of the server, and a function of the module. */
PyObject *tri_access_log_to(PyObject *server, PyObject *args, PyObject *kwargs);
PyObject *tri_access_finish(PyObject *server, PyObject *milliseconds);
PyObject *tri_access_check(PyObject *module, PyObject *text);

/* tls_scope.c: puts what is known of the exchange's TLS, which it has, among its extensions; 0, or -1 with an
 * exception.
 */
int tri_tls_scope_add(tri_py_server *server, PyObject *extensions, const tri_exchange *exchange);
/* Drops what is kept for the next connections. */
void tri_tls_scope_forget(tri_py_server *server);

/* proxying.c: a method of the server. */
PyObject *tri_proxying_set(PyObject *op, PyObject *args, PyObject *kwargs);
/* Changes a scope by what proxies have said of its exchange; 0, or -1 with an exception. */
int tri_proxying_apply(tri_py_server *server, PyObject *scope, const tri_exchange *exchange);

/* tls.c: functions of the module, and a method of the server. */
PyObject *tri_tls_dev(PyObject *module, PyObject *args);
PyObject *tri_tls_make(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *tri_tls_set(PyObject *op, PyObject *capsule);

/* listening.c: functions of the module. */
PyObject *tri_listening_tcp(PyObject *module, PyObject *args);
PyObject *tri_listening_unix(PyObject *module, PyObject *args);

/* process.c: functions of the module, and what is left of them at its end. */
PyObject *tri_process_deadline(PyObject *module, PyObject *args);
PyObject *tri_process_heed_signals(PyObject *module, PyObject *args);
PyObject *tri_process_die_with_parent(PyObject *module, PyObject *args);
void tri_process_forget(tri_state *state);

/* An exception for a negative TRI_E…; returns -1. */
int tri_server_type_raise(const tri_state *state, int error);

#endif
