/* Signals: how a thread that is none of the library's wakes the task of an exchange, whatever the library is. */
#ifndef TRI_PY_SIGNAL_H
#define TRI_PY_SIGNAL_H

#include "py/module.h"

/* One of an exchange. Its fields, as all of a server's, are only used with the GIL held, which is never given up
   amidst a change of them; this module does not say that it can do without. */
typedef struct tri_py_signal {
    PyObject_HEAD
    tri_py_exchange *exchange; /* NULL once closed */
    bool posted;               /* and not waited for since */
    tri_list link;             /* in the server's `posted`, until the leader has come by */
} tri_py_signal;

enum { TRI_SIGNAL_POSTED = 1, TRI_SIGNAL_LEFT = 2 };

/* A new signal of `exchange`, or NULL. */
PyObject *tri_signal_new(tri_py_exchange *exchange);
/* Whether it was posted (and takes that), or with `left` the client has gone: TRI_SIGNAL_…, 0, or -1 with an exception
   once it was closed. */
int tri_signal_poll(tri_py_signal *signal, bool left);
/* Puts an awaitable that waits for it in line. */
void tri_signal_stand(tri_py_signal *signal, tri_list *waiter, bool left);
/* Moves those who wait for signals that were posted to to_wake. */
void tri_signal_deliver(tri_py_server *server);
int tri_signal_add(PyObject *module, tri_state *state);

#endif
