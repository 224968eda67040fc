/* What receive(), send() and notice() return: ready now, or a place to wait at. */
#ifndef TRI_PY_AWAITABLE_H
#define TRI_PY_AWAITABLE_H

#include "py/module.h"
#include "py/signal.h"

enum tri_awaitable_kind {
    TRI_AWAITABLE_DONE,        /* None, at once, as often as one likes */
    TRI_AWAITABLE_RECEIVE,     /* the next event of `exchange` */
    TRI_AWAITABLE_AGAIN,       /* the same, after a checkpoint */
    TRI_AWAITABLE_SEND,        /* None, once the peer has taken enough */
    TRI_AWAITABLE_CHECKPOINT,  /* None, after the library ran everything else once */
    TRI_AWAITABLE_NOTICE,      /* a notice of `server` */
    TRI_AWAITABLE_SIGNAL,      /* True, once `signal` was posted */
    TRI_AWAITABLE_SIGNAL_LEFT, /* the same, or False once the client has left */
};

typedef struct tri_py_awaitable {
    PyObject_HEAD
    enum tri_awaitable_kind kind;
    bool ended;
    tri_py_server *server; /* NULL for DONE */
    union {
        tri_py_exchange *exchange; /* of RECEIVE, AGAIN and SEND */
        tri_py_signal *signal;     /* of SIGNAL and SIGNAL_LEFT */
        PyObject *subject;
    };
    PyObject *parking; /* while suspended: the backend's */
    PyObject *inner;   /* what is awaited underneath */
    PyObject *message; /* of SEND: what is to be sent once there is room, or NULL */
    tri_list link;     /* in the waiters of the exchange or server, then in to_wake */
} tri_py_awaitable;

/* A new awaitable; `subject` is the exchange or signal, NULL for CHECKPOINT and NOTICE. */
PyObject *tri_awaitable_new(enum tri_awaitable_kind kind, tri_py_server *server, PyObject *subject);

/* One of SEND that hands over a message, which is copied, when there is room for it; given up before, it has sent
   nothing. */
PyObject *tri_awaitable_new_send(tri_py_exchange *exchange, PyObject *message);

/* Wakes a suspended one: a new reference to None or to something that the caller must await, or NULL. */
PyObject *tri_awaitable_wake(tri_py_awaitable *self);

#endif
