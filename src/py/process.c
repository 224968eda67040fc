/* What a process is told that is a server's own: when it ends whatever happens, and with whom. */
#include "net/sys.h"
#include "net/watchdog.h"
#include "py/module.h"

static const double seconds_most = 1e9;

/* Milliseconds of `seconds`, at least 1 unless it is 0; 0, or -1 with an exception. */
static int to_ms(double seconds, uint64_t *ms)
{
    if (!(seconds >= 0 && seconds <= seconds_most)) {
        PyErr_SetString(PyExc_ValueError, "seconds must be a number from 0 to 1e9");
        return -1;
    }
    *ms = (uint64_t)(seconds * 1000);
    if (*ms == 0 && seconds > 0)
        *ms = 1;
    return 0;
}

void tri_process_forget(tri_state *state)
{
    if (state->watchdog != NULL)
        tri_watchdog_free(state->watchdog);
    state->watchdog = NULL;
}

/* Sees to it that there is a watchdog of this process; 0, or -1 with an exception. */
static int have_watchdog(tri_state *state)
{
    if (state->watchdog != NULL && !tri_watchdog_is_own(state->watchdog))
        tri_process_forget(state);
    if (state->watchdog != NULL)
        return 0;
    int error = tri_watchdog_new(&state->watchdog, tri_mem_libc());
    return error == 0 ? 0 : tri_server_type_raise(state, error);
}

PyObject *tri_process_deadline(PyObject *module, PyObject *args)
{
    tri_state *state = PyModule_GetState(module);
    double seconds;
    uint64_t ms;
    Py_ssize_t n;
    tri_watchdog_end end;
    if (!PyArg_ParseTuple(args, "dy#i:deadline", &seconds, &end.message, &n, &end.code) || to_ms(seconds, &ms) != 0)
        return NULL;
    end.n = (size_t)n;
    if (ms == 0) {
        tri_process_forget(state);
        Py_RETURN_NONE;
    }
    if (have_watchdog(state) != 0)
        return NULL;
    int error = tri_watchdog_set(state->watchdog, ms, &end);
    if (error != 0) {
        tri_server_type_raise(state, error);
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Reads the signals' numbers; 0, or -1 with an exception. */
static int read_numbers(PyObject *given, tri_watchdog_signals *signals)
{
    PyObject *numbers = PySequence_Fast(given, "signals must be a sequence");
    if (numbers == NULL)
        return -1;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(numbers);
    if (n > TRI_WATCHDOG_SIGNALS)
        PyErr_Format(PyExc_ValueError, "at most %d signals", TRI_WATCHDOG_SIGNALS);
    for (Py_ssize_t i = 0; i < n && !PyErr_Occurred(); i++)
        signals->numbers[i] = (int)PyLong_AsLong(PySequence_Fast_GET_ITEM(numbers, i));
    signals->n = (unsigned)n;
    Py_DECREF(numbers);
    return PyErr_Occurred() ? -1 : 0;
}

PyObject *tri_process_heed_signals(PyObject *module, PyObject *args)
{
    tri_state *state = PyModule_GetState(module);
    tri_watchdog_signals signals = { 0 };
    tri_watchdog_end end;
    PyObject *numbers;
    Py_ssize_t n;
    double patiences[TRI_WATCHDOG_PATIENCES], orphan = 0;
    if (!PyArg_ParseTuple(args, "O(ddd)y#i|Id:heed_signals", &numbers, &patiences[0], &patiences[1], &patiences[2],
                          &end.message, &n, &end.code, &signals.parent, &orphan))
        return NULL;
    end.n = (size_t)n;
    for (int i = 0; i < TRI_WATCHDOG_PATIENCES; i++)
        if (to_ms(patiences[i], &signals.patience_ms[i]) != 0)
            return NULL;
    if (to_ms(orphan, &signals.orphan_ms) != 0)
        return NULL;
    if (read_numbers(numbers, &signals) != 0 || have_watchdog(state) != 0)
        return NULL;
    int error = tri_watchdog_heed(state->watchdog, &signals, &end);
    if (error != 0) {
        tri_server_type_raise(state, error);
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *tri_process_die_with_parent(PyObject *Py_UNUSED(module), PyObject *args)
{
    int number;
    unsigned parent;
    if (!PyArg_ParseTuple(args, "iI:die_with_parent", &number, &parent))
        return NULL;
    if (tri_sys_die_with_parent(number) != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyBool_FromLong(tri_sys_parent() == parent);
}
