#include "py/drive.h"

#include <stdbool.h>

/* Whether an object is a generator that types.coroutine made awaitable. */
static bool is_generator_coroutine(PyObject *object)
{
    if (!PyGen_CheckExact(object))
        return false;
    PyObject *code = PyObject_GetAttrString(object, "gi_code");
    if (code == NULL)
        PyErr_Clear();
    bool marked = code != NULL && PyCode_Check(code) && (((PyCodeObject *)code)->co_flags & CO_ITERABLE_COROUTINE) != 0;
    Py_XDECREF(code);
    return marked;
}

/* What __await__() of `awaitable` gives, which must be an iterator. */
static PyObject *call_await(PyObject *awaitable)
{
    PyObject *iter = Py_TYPE(awaitable)->tp_as_async->am_await(awaitable);
    if (iter == NULL || PyIter_Check(iter))
        return iter;
    PyErr_Format(PyExc_TypeError, "__await__() of %.200s returned %.200s, which is not an iterator",
                 Py_TYPE(awaitable)->tp_name, Py_TYPE(iter)->tp_name);
    Py_DECREF(iter);
    return NULL;
}

PyObject *tri_drive_iter(PyObject *awaitable)
{
    if (awaitable == NULL || PyCoro_CheckExact(awaitable))
        return awaitable;
    PyAsyncMethods *async = Py_TYPE(awaitable)->tp_as_async;
    PyObject *iter = NULL;
    if (async != NULL && async->am_await != NULL)
        iter = call_await(awaitable);
    else if (is_generator_coroutine(awaitable))
        iter = Py_NewRef(awaitable);
    else
        PyErr_Format(PyExc_TypeError, "%.200s can't be awaited: is the application an async callable?",
                     Py_TYPE(awaitable)->tp_name);
    Py_DECREF(awaitable);
    return iter;
}

/* Raises `exception` inside the iterator; one that takes none is left as a generator leaves it: closed if it can be. */
static PySendResult throw_in(PyObject *iter, PyObject *exception, PyObject **result)
{
    PyObject *throw = PyObject_GetAttrString(iter, "throw");
    if (throw == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return PYGEN_ERROR;
        PyErr_Clear();
        tri_drive_raise(Py_NewRef(exception));
        if (PyErr_GivenExceptionMatches(exception, PyExc_GeneratorExit))
            tri_drive_close(iter);
        return PYGEN_ERROR;
    }
    PyObject *yielded = PyObject_CallOneArg(throw, exception);
    Py_DECREF(throw);
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

void tri_drive_report(PyObject *on_error)
{
    PyObject *error = tri_drive_caught();
    bool interrupted = PyErr_GivenExceptionMatches(error, PyExc_KeyboardInterrupt);
    PyObject *told = interrupted ? NULL : PyObject_CallOneArg(on_error, error);
    if (interrupted)
        PyErr_SetInterrupt();
    else if (told == NULL)
        PyErr_WriteUnraisable(on_error);
    Py_XDECREF(told);
    Py_DECREF(error);
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
