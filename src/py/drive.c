#include "py/drive.h"

PyObject *tri_drive_iter(PyObject *awaitable)
{
    if (awaitable == NULL || PyCoro_CheckExact(awaitable))
        return awaitable;
    PyAsyncMethods *async = Py_TYPE(awaitable)->tp_as_async;
    PyObject *iter = NULL;
    if (async != NULL && async->am_await != NULL)
        iter = async->am_await(awaitable);
    else if (PyGen_CheckExact(awaitable))
        iter = Py_NewRef(awaitable); /* made by types.coroutine */
    else
        PyErr_Format(PyExc_TypeError, "%.200s can't be awaited: is the application an async callable?",
                     Py_TYPE(awaitable)->tp_name);
    Py_DECREF(awaitable);
    return iter;
}

/* Raises `exception` inside the iterator. */
static PySendResult throw_in(PyObject *iter, PyObject *exception, PyObject **result)
{
    PyObject *yielded = PyObject_CallMethod(iter, "throw", "O", exception);
    if (yielded != NULL) {
        *result = yielded;
        return PYGEN_NEXT;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return PYGEN_ERROR;
    PyObject *stop = tri_drive_caught();
    *result = PyObject_GetAttrString(stop, "value");
    Py_DECREF(stop);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

PySendResult tri_drive_step(PyObject *iter, PyObject *value, PyObject *exception, PyObject **result)
{
    *result = NULL;
    if (exception != NULL)
        return throw_in(iter, exception, result);
    return PyIter_Send(iter, value == NULL ? Py_None : value, result);
}

void tri_drive_close(PyObject *iter)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *closed = NULL;
    if (PyObject_HasAttrString(iter, "close"))
        closed = PyObject_CallMethod(iter, "close", NULL);
    if (closed == NULL && PyErr_Occurred())
        PyErr_WriteUnraisable(iter);
    Py_XDECREF(closed);
    PyErr_Restore(type, value, traceback);
}

PyObject *tri_drive_caught(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL && value != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

void tri_drive_raise(PyObject *exception)
{
    PyErr_Restore(Py_NewRef(Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
}

PyObject *tri_drive_thrown(PyObject *const *args, Py_ssize_t n)
{
    if (n < 1 || n > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes 1 to 3 arguments");
        return NULL;
    }
    if (PyExceptionInstance_Check(args[0]))
        return Py_NewRef(args[0]);
    if (!PyExceptionClass_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException");
        return NULL;
    }
    if (n > 1 && PyExceptionInstance_Check(args[1]))
        return Py_NewRef(args[1]);
    if (n > 1 && args[1] != Py_None)
        return PyObject_CallOneArg(args[0], args[1]);
    return PyObject_CallNoArgs(args[0]);
}

PyObject *tri_drive_outcome(PySendResult sent, PyObject *result)
{
    if (sent != PYGEN_RETURN)
        return result;
    if (result == Py_None) {
        PyErr_SetNone(PyExc_StopIteration);
    } else {
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result); /* a tuple must stay one value */
        if (stop != NULL)
            tri_drive_raise(stop);
    }
    Py_XDECREF(result);
    return NULL;
}
