/* Stepping what an application or a library made: coroutines, and anything else that can be awaited. */
#ifndef TRI_PY_DRIVE_H
#define TRI_PY_DRIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* The iterator that `awaitable` is awaited through; steals the reference. NULL with TypeError when it cannot be
 * awaited. */
PyObject *tri_drive_iter(PyObject *awaitable);
/* One step with `value` or, when `exception` is not NULL, with that raised inside. `*result` is what was yielded or
 * returned. */
PySendResult tri_drive_step(PyObject *iter, PyObject *value, PyObject *exception, PyObject **result);
/* Closes it; an exception of its own is reported as unraisable. */
void tri_drive_close(PyObject *iter);
/* The exception now set, normalised, with its traceback; a new reference, the indicator is cleared. */
PyObject *tri_drive_caught(void);
/* Hands the exception now set to `on_error`, a callable; an interrupt goes on to whoever runs the server. */
void tri_drive_report(PyObject *on_error);
/* Sets `exception` again; steals the reference. */
void tri_drive_raise(PyObject *exception);
/* The exception instance that the arguments of a throw() method mean, or NULL. */
PyObject *tri_drive_thrown(PyObject *const *args, Py_ssize_t n);
/* What a tp_iternext, send() or throw() method returns for a step: NULL with StopIteration when it returned. */
PyObject *tri_drive_outcome(PySendResult sent, PyObject *result);

#endif
