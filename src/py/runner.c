/* The runner: what a serving task awaits. It leads (waits for the reactor, takes turns), steps applications in its own
   task, and hands leadership over before an application's first suspension reaches the library (Leader/Followers; I1 to
   I7). */
#include "net/reactor.h"
#include "py/awaitable.h"
#include "py/drive.h"
#include "py/module.h"
#include "py/signal.h"
#include "py/websocket.h"

enum {
    BATCH_MOST = 256,      /* exchanges between two looks at the library (I6) */
    BATCH_NS = 1000000,    /* and nanoseconds */
    SLOW_STEP_NS = 200000, /* a step longer than this has its neighbours' answers written first */
    AHEAD_MOST = 63,       /* tasks started beside the next leader */
};

enum run_state {
    RUN_NEW,      /* not begun */
    RUN_WAIT,     /* leading: the library waits for the descriptor */
    RUN_TURN,     /* leading: about to take a reactor turn */
    RUN_WAKE,     /* leading: waking those whose event has come */
    RUN_BATCH,    /* leading: stepping exchanges */
    RUN_HANDOVER, /* an application has suspended: the next leader is being started */
    RUN_APP,      /* serving the exchange that suspended, to its end */
    RUN_RETIRE,   /* was cancelled as the leader by mistake: another is being started */
    RUN_ENDED,
};

typedef struct tri_py_runner {
    PyObject_HEAD
    tri_py_server *server;
    enum run_state state;
    enum run_state after;      /* where to go when `inner` has returned */
    PyObject *inner;           /* an awaitable of the library that is driven, or NULL */
    tri_py_exchange *exchange; /* at work */
    PyObject *app;             /* its application's coroutine */
    PyObject *context;         /* and context */
    PyObject *stray;           /* tells whether a cancellation waits for this task; None where that cannot be */
    PyObject *trap;            /* what the application yielded, kept during the handover */
    uint64_t step_since;       /* ns */
    unsigned to_start;         /* serving tasks, before the trap is passed on */
    bool busy;                 /* is being stepped */
} tri_py_runner;

/* What a state's handler asks for. */
enum outcome { GO_ON, YIELDED, RETURNED, FAILED };

typedef struct step {
    PyObject *value;     /* borrowed: what was sent in, or NULL */
    PyObject *exception; /* borrowed: what was thrown in, or NULL */
    PyObject *result;    /* out, owned */
} step;

/* --- driving the library --- */

/* Begins to drive `awaitable`, a new reference or NULL with an exception; None is nothing to drive. */
static int drive(tri_py_runner *self, PyObject *awaitable, enum run_state after)
{
    if (awaitable == NULL)
        return -1;
    self->after = after;
    if (awaitable == Py_None) {
        Py_DECREF(awaitable);
        self->state = after;
        return 0;
    }
    self->inner = tri_drive_iter(awaitable);
    return self->inner == NULL ? -1 : 0;
}

/* Leads no longer; whoever leads or will lead instead is left alone. */
static void cease_to_lead(tri_py_runner *self)
{
    if (self->server->leader != (PyObject *)self)
        return;
    self->server->leader = NULL;
}

/* A task that was started has begun, or never will. */
static void has_begun(tri_py_server *server)
{
    if (server->starting > 0)
        server->starting--;
}

/* The task is dropped in whatever state it is: it neither leads nor will. */
static void abandon(tri_py_runner *self)
{
    if (self->state == RUN_ENDED)
        return;
    if (self->state == RUN_NEW)
        has_begun(self->server);
    cease_to_lead(self);
    self->server->turned = true;
    self->state = RUN_ENDED;
}

/* Starts another serving task: it leads if nobody else does when it begins. */
static int start_task(tri_py_runner *self, enum run_state after)
{
    tri_py_server *server = self->server;
    server->starting++;
    server->turned = true;
    if (drive(self, PyObject_CallNoArgs(server->spawn), after) == 0)
        return 0;
    has_begun(server);
    return -1;
}

/* --- one exchange --- */

static void drop_exchange(tri_py_runner *self)
{
    Py_CLEAR(self->app);
    Py_CLEAR(self->context);
    Py_CLEAR(self->exchange);
}

/* The access log's line for an answer that the application did not complete; none if nobody was answered. */
static void log_unfinished(tri_py_exchange *exchange)
{
    if (exchange->server->access == TRI_ACCESS_OFF)
        return;
    if (tri_exchange_complete(exchange->core))
        exchange->status = tri_exchange_failure(exchange->core); /* the core's, in its place */
    else if (!tri_exchange_started(exchange->core))
        return;
    tri_access_tell(exchange);
}

/* The application has returned (`exception` NULL) or failed: the answer is completed or given up, and the log told. */
static void finish_exchange(tri_py_runner *self, PyObject *exception)
{
    tri_py_exchange *exchange = self->exchange;
    bool websocket = exchange->websocket;
    bool answered = websocket ? tri_websocket_finish(exchange, exception) : tri_exchange_complete(exchange->core);
    if (exception != NULL || !answered)
        tri_server_type_error(exchange, exception);
    Py_CLEAR(exchange->cancel);
    tri_exchange_done(exchange->core);
    if (!answered)
        log_unfinished(exchange);
    drop_exchange(self);
}

/* Calls the application; its coroutine is in self->app afterwards. 0, or -1 with an exception. */
static int call_app(tri_py_runner *self)
{
    PyObject *args[4] = { NULL, tri_scope_new(self->server, self->exchange->core),
                          tri_exchange_type_receive(self->exchange), tri_exchange_type_send(self->exchange) };
    if (args[1] != NULL && args[2] != NULL && args[3] != NULL) {
        PyObject *made = PyObject_Vectorcall(self->server->app, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        self->app = tri_drive_iter(made);
    }
    for (int i = 1; i < 4; i++)
        Py_XDECREF(args[i]);
    return self->app == NULL ? -1 : 0;
}

/* Steps the application in its own context with its answers held back; the result is the step's. */
static PySendResult step_once(tri_py_runner *self, PyObject *value, PyObject *exception, PyObject **result)
{
    PySendResult sent = PYGEN_ERROR;
    *result = NULL;
    if (PyContext_Enter(self->context) != 0)
        return PYGEN_ERROR;
    tri_py_exchange *outer = self->server->stepping;
    self->server->stepping = self->exchange;
    tri_server_cork(self->server->core);
    if (self->app != NULL || call_app(self) == 0)
        sent = tri_drive_step(self->app, value, exception, result);
    tri_server_uncork(self->server->core);
    self->server->stepping = outer;
    if (PyContext_Exit(self->context) != 0) {
        Py_CLEAR(*result);
        return PYGEN_ERROR;
    }
    return sent;
}

/* Closes the application in its own context, as it would be stepped. */
static void close_app(tri_py_runner *self)
{
    bool entered = self->context != NULL && PyContext_Enter(self->context) == 0;
    tri_drive_close(self->app);
    if (!entered || PyContext_Exit(self->context) != 0)
        PyErr_Clear();
}

/* What the library has against the application's trap: an exception, or NULL. A library that would fall over something
   that is not its own says so here, so that the application fails in its place (I7). */
static PyObject *trap_error(tri_py_runner *self, PyObject *trap)
{
    if (self->server->refuse == Py_None)
        return NULL;
    PyObject *error = PyObject_CallOneArg(self->server->refuse, trap);
    if (error == NULL)
        return tri_drive_caught();
    if (PyExceptionInstance_Check(error))
        return error;
    Py_DECREF(error);
    return NULL;
}

/* Steps the application until it yields what the library understands, returns or fails. Told of a wrong trap, it has
   one more chance: an application that answers with another is closed. */
static PySendResult step_app(tri_py_runner *self, PyObject *value, PyObject *exception, PyObject **result)
{
    PySendResult sent = step_once(self, value, exception, result);
    for (int chances = 1; sent == PYGEN_NEXT; chances--) {
        PyObject *error = trap_error(self, *result);
        if (error == NULL)
            break;
        Py_CLEAR(*result);
        if (chances == 0) {
            close_app(self);
            tri_drive_raise(error);
            return PYGEN_ERROR;
        }
        sent = step_once(self, NULL, error, result);
        Py_DECREF(error);
    }
    return sent;
}

/* Takes the next exchange that has arrived; 1, 0 when there is none, -1 with an exception. */
static int take_exchange(tri_py_runner *self)
{
    tri_exchange *core = tri_server_next(self->server->core);
    if (core == NULL)
        return 0;
    self->exchange = tri_exchange_type_new(self->server, core);
    if (self->exchange == NULL)
        return -1;
    self->context = PyContext_Copy(self->server->context);
    return self->context == NULL ? -1 : 1;
}

/* --- the states --- */

/* Ends this task as a leader: another is started in its place, if none is there. */
static enum outcome retire(tri_py_runner *self)
{
    cease_to_lead(self);
    self->state = RUN_ENDED;
    if (self->server->leader != NULL || self->server->starting > 0)
        return GO_ON;
    if (start_task(self, RUN_ENDED) != 0)
        return FAILED;
    if (self->inner != NULL)
        self->state = RUN_RETIRE;
    return GO_ON;
}

/* An exception has reached a leader between exchanges: a shutdown ends it, anything else only this task (I7). */
static enum outcome interrupted(tri_py_runner *self)
{
    tri_py_server *server = self->server;
    Py_CLEAR(self->inner);
    bool gives_up = self->state == RUN_RETIRE; /* starting another has failed: once more would, too */
    if (gives_up || PyErr_ExceptionMatches(PyExc_GeneratorExit) || server->closed || tri_server_type_ending(server)) {
        cease_to_lead(self);
        self->state = RUN_ENDED;
        return FAILED;
    }
    if (PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_WriteUnraisable((PyObject *)self); /* not a cancellation: the library or its backend has failed */
    PyErr_Clear();
    return retire(self);
}

/* Steps what the library gave us to await. */
static enum outcome drive_inner(tri_py_runner *self, step *now)
{
    PySendResult sent = tri_drive_step(self->inner, now->value, now->exception, &now->result);
    if (sent == PYGEN_NEXT)
        return YIELDED;
    Py_CLEAR(self->inner);
    if (sent == PYGEN_RETURN) {
        Py_CLEAR(now->result);
        self->state = self->after;
        return GO_ON;
    }
    if (self->state != RUN_HANDOVER)
        return interrupted(self);
    Py_CLEAR(self->trap);
    self->to_start = 0;
    has_begun(self->server); /* whether it was started is not known */
    self->state = RUN_APP;   /* what interrupted the handover is the application's to see */
    return FAILED;
}

/* The batch has run for long: writes, and lets the library run its other tasks (I6). */
static enum outcome pause_batch(tri_py_runner *self)
{
    tri_server_flush(self->server->core);
    self->state = RUN_WAIT;
    return drive(self, PyObject_CallNoArgs(self->server->checkpoint), RUN_TURN) != 0 ? interrupted(self) : GO_ON;
}

/* The library's loop has turned: the bounds of a batch begin anew. Leaders that follow one another within a turn share
   them. */
static void begin_batch(tri_py_server *server)
{
    server->turned = false;
    server->batch = 0;
    server->batch_since = tri_reactor_now_ns();
}

/* The first step of a serving task: it leads, unless the server has closed or somebody else does already. */
static enum outcome do_new(tri_py_runner *self)
{
    tri_py_server *server = self->server;
    has_begun(server);
    self->state = RUN_ENDED;
    if (server->closed)
        return GO_ON;
    if (server->leader != NULL) {
        server->ahead -= server->ahead > 0; /* one fewer would have done */
        return GO_ON;
    }
    server->leader = (PyObject *)self;
    self->stray = PyObject_CallNoArgs(server->stray);
    if (self->stray == NULL) {
        cease_to_lead(self);
        return FAILED;
    }
    if (server->turned)
        begin_batch(server);
    else if (tri_reactor_now_ns() - server->batch_since >= BATCH_NS)
        return pause_batch(self);
    self->state = tri_server_pending(server->core) ? RUN_WAKE : RUN_TURN;
    return GO_ON;
}

/* A reactor turn, and what it brought for others than new exchanges. */
static enum outcome do_turn(tri_py_runner *self)
{
    if (tri_server_turn(self->server->core, 0) != 0) {
        PyErr_SetFromErrno(PyExc_OSError); /* epoll refuses only what cannot happen: say so and go on */
        PyErr_WriteUnraisable((PyObject *)self);
    }
    begin_batch(self->server);
    self->state = RUN_WAKE;
    return GO_ON;
}

/* Wakes, one after another, those whose event has come. */
static enum outcome do_wake(tri_py_runner *self)
{
    tri_py_server *server = self->server;
    tri_exchange *woken;
    while ((woken = tri_server_next_woken(server->core)) != NULL) {
        tri_py_exchange *exchange = tri_exchange_user(woken);
        if (exchange == NULL)
            continue;
        tri_exchange_type_wake(exchange);
        PyObject *cancel = tri_cancel_take(exchange);
        if (cancel == NULL)
            continue;
        int error = drive(self, PyObject_CallNoArgs(cancel), RUN_WAKE);
        Py_DECREF(cancel);
        if (error != 0)
            return interrupted(self);
        if (self->inner != NULL)
            return GO_ON;
    }
    tri_signal_deliver(server);
    tri_server_type_notices(server);
    tri_server_type_refusals(server);
    tri_list *node;
    while ((node = tri_list_shift(&server->to_wake)) != NULL) {
        PyObject *awaitable = Py_NewRef((PyObject *)TRI_CONTAINER(node, tri_py_awaitable, link));
        int error = drive(self, tri_awaitable_wake((tri_py_awaitable *)awaitable), RUN_WAKE);
        Py_DECREF(awaitable);
        if (error != 0)
            return interrupted(self);
        if (self->inner != NULL)
            return GO_ON;
    }
    self->state = RUN_BATCH;
    self->step_since = tri_reactor_now_ns();
    return GO_ON;
}

/* How many tasks to start when none is starting: the next leader, and as many more as lately were of use and have
   something to do. So exchanges that all suspend run in one turn of the library's loop, not each in its own. */
static unsigned tasks_wanted(tri_py_server *server)
{
    unsigned more = tri_server_waiting(server->core, server->ahead);
    if (tri_server_waiting(server->core, 1) > 0)
        server->ahead = server->ahead >= AHEAD_MOST / 2 ? AHEAD_MOST : 2 * server->ahead + 1;
    return 1 + more;
}

/* An application has suspended for the first time: somebody else leads before its trap reaches the library (I5). */
static enum outcome hand_over(tri_py_runner *self, PyObject *trap)
{
    tri_server_flush(self->server->core);
    tri_cancel_watch(self->exchange, (PyObject *)self);
    self->trap = trap;
    cease_to_lead(self);
    self->to_start = self->server->starting > 0 ? 0 : tasks_wanted(self->server);
    self->state = RUN_HANDOVER;
    return GO_ON;
}

/* Starts what is wanted and passes the application's trap on: from now on this task is that exchange's (I4). */
static enum outcome do_handover(tri_py_runner *self, step *now)
{
    while (self->to_start > 0) {
        self->to_start--;
        if (start_task(self, RUN_HANDOVER) != 0) {
            PyErr_WriteUnraisable((PyObject *)self); /* no task can be started: tried again when this one ends */
            self->to_start = 0;
        } else if (self->inner != NULL) {
            return GO_ON;
        }
    }
    now->result = self->trap;
    self->trap = NULL;
    self->state = RUN_APP;
    return YIELDED;
}

/* Nothing is left to step: writes, and waits for the reactor. */
static enum outcome end_batch(tri_py_runner *self)
{
    tri_py_server *server = self->server;
    tri_server_flush(server->core);
    if (server->closed) {
        cease_to_lead(self);
        self->state = RUN_ENDED;
        return GO_ON;
    }
    if (tri_server_pending(server->core) || !tri_list_empty(&server->to_wake)) {
        self->state = RUN_WAKE;
        return GO_ON;
    }
    tri_server_type_notices(server);
    if (!tri_list_empty(&server->to_wake)) {
        self->state = RUN_WAKE;
        return GO_ON;
    }
    if (server->access == TRI_ACCESS_DIRECT)
        tri_access_write(server);
    tri_server_sleep(server->core, true);
    self->state = RUN_WAIT;
    return drive(self, PyObject_CallNoArgs(server->wait), RUN_TURN) != 0 ? interrupted(self) : GO_ON;
}

/* Whether the exchange that has just finished left a cancellation to this task, which the next would feel (I7). */
static bool has_stray(tri_py_runner *self)
{
    if (self->stray == Py_None)
        return false;
    PyObject *found = PyObject_CallNoArgs(self->stray);
    int truth = found == NULL ? -1 : PyObject_IsTrue(found);
    Py_XDECREF(found);
    if (truth < 0)
        PyErr_WriteUnraisable(self->stray);
    return truth != 0;
}

/* Steps one exchange from the queue. */
static enum outcome do_batch(tri_py_runner *self)
{
    int taken = take_exchange(self);
    if (taken == 0)
        return end_batch(self);
    PySendResult sent = PYGEN_ERROR;
    PyObject *result = NULL;
    if (taken > 0)
        sent = step_app(self, NULL, NULL, &result);
    if (sent == PYGEN_NEXT)
        return hand_over(self, result);
    Py_XDECREF(result);
    PyObject *exception = sent == PYGEN_ERROR ? tri_drive_caught() : NULL;
    if (self->exchange != NULL)
        finish_exchange(self, exception);
    Py_XDECREF(exception);
    if (has_stray(self)) {
        tri_server_flush(self->server->core);
        return retire(self);
    }
    uint64_t now = tri_reactor_now_ns();
    if (++self->server->batch >= BATCH_MOST || now - self->server->batch_since >= BATCH_NS)
        return pause_batch(self);
    if (now - self->step_since >= SLOW_STEP_NS)
        tri_server_flush(self->server->core);
    self->step_since = now;
    return GO_ON;
}

/* Whether nobody leads and somebody should; while the group of tasks ends, nobody is to be started any more. */
static bool lacks_leader(tri_py_server *server)
{
    return server->leader == NULL && server->starting == 0 && !server->closed && !tri_server_type_ending(server);
}

/* The exchange is over: so is this task (I4). What ended the application is not passed on, whatever it is, as it would
   end the server (I7): a library's group of tasks is content with a cancelled task that returns. */
static enum outcome leave_app(tri_py_runner *self, const step *now, PySendResult sent)
{
    PyObject *exception = sent == PYGEN_ERROR ? tri_drive_caught() : NULL;
    finish_exchange(self, exception);
    tri_server_flush(self->server->core);
    self->state = RUN_ENDED;
    if (lacks_leader(self->server) && start_task(self, RUN_ENDED) != 0)
        PyErr_WriteUnraisable((PyObject *)self);
    if (exception != NULL && now->exception != NULL
        && PyErr_GivenExceptionMatches(now->exception, PyExc_GeneratorExit)) {
        tri_drive_raise(exception); /* the task itself is being closed */
        return FAILED;
    }
    Py_XDECREF(exception);
    return GO_ON;
}

/* Steps the application that owns this task. */
static enum outcome do_app(tri_py_runner *self, step *now)
{
    PyObject *pending = NULL;
    if (now->exception == NULL && PyErr_Occurred())
        pending = tri_drive_caught(); /* the handover was interrupted */
    self->exchange->immediate = 0;
    PySendResult sent = step_app(self, now->value, pending != NULL ? pending : now->exception, &now->result);
    Py_XDECREF(pending);
    if (sent == PYGEN_NEXT) {
        tri_server_flush(self->server->core);
        tri_cancel_watch(self->exchange, (PyObject *)self);
        return YIELDED;
    }
    Py_CLEAR(now->result);
    return leave_app(self, now, sent);
}

/* Runs one state. */
static enum outcome run_state(tri_py_runner *self, step *now)
{
    if (self->inner != NULL)
        return drive_inner(self, now);
    switch (self->state) {
    case RUN_NEW:
        return do_new(self);
    case RUN_TURN:
    case RUN_WAIT:
        return do_turn(self);
    case RUN_WAKE:
        return do_wake(self);
    case RUN_BATCH:
        return do_batch(self);
    case RUN_HANDOVER:
        return do_handover(self, now);
    case RUN_APP:
        return do_app(self, now);
    case RUN_RETIRE:
    case RUN_ENDED:
        break;
    }
    return RETURNED;
}

/* Runs states until the library or the end is reached. */
static enum outcome run_states(tri_py_runner *self, step *now)
{
    for (;;) {
        enum outcome outcome = run_state(self, now);
        if (outcome == FAILED && self->state == RUN_APP)
            outcome = GO_ON;
        if (outcome != GO_ON)
            return outcome;
        *now = (step){ Py_None, NULL, NULL };
    }
}

/* One step of the serving task. */
static PySendResult advance(tri_py_runner *self, PyObject *value, PyObject *exception, PyObject **result)
{
    step now = { value, exception, NULL };
    *result = NULL;
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this task is being stepped already");
        return PYGEN_ERROR;
    }
    if (exception != NULL && self->inner == NULL && self->state != RUN_APP) {
        tri_drive_raise(Py_NewRef(exception));
        if (self->state != RUN_NEW)
            return PYGEN_ERROR;
        has_begun(self->server);
        if (interrupted(self) == FAILED)
            return PYGEN_ERROR;
        now.exception = NULL;
    }
    self->busy = true;
    enum outcome outcome = run_states(self, &now);
    self->busy = false;
    if (outcome == FAILED)
        return PYGEN_ERROR;
    *result = outcome == YIELDED ? now.result : Py_NewRef(Py_None);
    return outcome == YIELDED ? PYGEN_NEXT : PYGEN_RETURN;
}

/* --- the type --- */

PyObject *tri_runner_new(tri_py_server *server)
{
    PyTypeObject *type = server->state->runner_type;
    tri_py_runner *self = (tri_py_runner *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->server = (tri_py_server *)Py_NewRef((PyObject *)server);
    return (PyObject *)self;
}

static PySendResult runner_am_send(PyObject *self, PyObject *value, PyObject **result)
{
    return advance((tri_py_runner *)self, value, NULL, result);
}

static PyObject *runner_iternext(PyObject *self)
{
    PyObject *result;
    PySendResult sent = advance((tri_py_runner *)self, Py_None, NULL, &result);
    return tri_drive_outcome(sent, result);
}

static PyObject *runner_send(PyObject *self, PyObject *value)
{
    PyObject *result;
    PySendResult sent = advance((tri_py_runner *)self, value, NULL, &result);
    return tri_drive_outcome(sent, result);
}

static PyObject *runner_throw(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    PyObject *exception = tri_drive_thrown(args, n);
    if (exception == NULL)
        return NULL;
    PyObject *result;
    PySendResult sent = advance((tri_py_runner *)self, NULL, exception, &result);
    Py_DECREF(exception);
    return tri_drive_outcome(sent, result);
}

static PyObject *runner_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_runner *self = (tri_py_runner *)op;
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this task is being stepped");
        return NULL;
    }
    self->busy = true;
    if (self->inner != NULL)
        tri_drive_close(self->inner);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->trap);
    if (self->app != NULL)
        close_app(self);
    if (self->exchange != NULL)
        tri_exchange_done(self->exchange->core);
    drop_exchange(self);
    abandon(self);
    self->busy = false;
    Py_RETURN_NONE;
}

/* What shows a coroutine's stack sees that of the application, or of what the leader waits for. */
static PyObject *shown(tri_py_runner *self, const char *name)
{
    PyObject *inside = self->app != NULL ? self->app : self->inner;
    PyObject *found = inside == NULL ? NULL : PyObject_GetAttrString(inside, name);
    if (found != NULL || (inside != NULL && !PyErr_ExceptionMatches(PyExc_AttributeError)))
        return found;
    PyErr_Clear();
    Py_RETURN_NONE;
}

static PyObject *runner_get_frame(PyObject *op, void *Py_UNUSED(closure))
{
    return shown((tri_py_runner *)op, "cr_frame");
}

static PyObject *runner_get_await(PyObject *op, void *Py_UNUSED(closure))
{
    return shown((tri_py_runner *)op, "cr_await");
}

static PyObject *runner_get_running(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((tri_py_runner *)op)->busy);
}

static PyObject *runner_get_suspended(PyObject *op, void *Py_UNUSED(closure))
{
    tri_py_runner *self = (tri_py_runner *)op;
    return PyBool_FromLong(!self->busy && self->state != RUN_NEW && self->state != RUN_ENDED);
}

static int runner_traverse(PyObject *op, visitproc visit, void *arg)
{
    tri_py_runner *self = (tri_py_runner *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->server);
    Py_VISIT(self->inner);
    Py_VISIT((PyObject *)self->exchange);
    Py_VISIT(self->app);
    Py_VISIT(self->context);
    Py_VISIT(self->trap);
    Py_VISIT(self->stray);
    return 0;
}

static int runner_clear(PyObject *op)
{
    tri_py_runner *self = (tri_py_runner *)op;
    Py_CLEAR(self->inner);
    Py_CLEAR(self->trap);
    Py_CLEAR(self->stray);
    drop_exchange(self);
    if (self->server != NULL)
        abandon(self);
    Py_CLEAR(self->server);
    return 0;
}

static void runner_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    runner_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef runner_methods[] = {
    { "send", runner_send, METH_O, PyDoc_STR("send($self, value, /)\n--\n\nGo on with value.") },
    { "throw", (PyCFunction)(void (*)(void))runner_throw, METH_FASTCALL,
      PyDoc_STR("throw($self, typ, val=None, tb=None, /)\n--\n\nRaise an exception where it waits.") },
    { "close", runner_close, METH_NOARGS, PyDoc_STR("close($self, /)\n--\n\nEnd at once.") },
    { NULL, NULL, 0, NULL },
};

static PyObject *runner_get_name(PyObject *Py_UNUSED(op), void *Py_UNUSED(closure))
{
    return PyUnicode_FromString("tricorn");
}

static PyGetSetDef runner_getset[] = {
    { "__name__", runner_get_name, NULL, "What a library shows for its task.", NULL },
    { "__qualname__", runner_get_name, NULL, "What a library shows for its task.", NULL },
    { "cr_frame", runner_get_frame, NULL, "The frame of the application, or None.", NULL },
    { "cr_await", runner_get_await, NULL, "What the application awaits, or None.", NULL },
    { "cr_running", runner_get_running, NULL, "Whether it is being stepped.", NULL },
    { "cr_suspended", runner_get_suspended, NULL, "Whether it has begun and waits.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot runner_slots[] = {
    { Py_tp_doc, "What a serving task awaits: it leads, and steps applications in that task." },
    { Py_tp_methods, runner_methods },
    { Py_tp_getset, runner_getset },
    { Py_tp_traverse, runner_traverse },
    { Py_tp_clear, runner_clear },
    { Py_tp_dealloc, runner_dealloc },
    { Py_tp_iter, PyObject_SelfIter },
    { Py_tp_iternext, runner_iternext },
    { Py_am_await, PyObject_SelfIter },
    { Py_am_send, runner_am_send },
    { 0, NULL },
};

static PyType_Spec runner_spec = {
    .name = "tricorn._core.Runner",
    .basicsize = sizeof(tri_py_runner),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = runner_slots,
};

int tri_runner_add(PyObject *module, tri_state *state)
{
    return tri_module_add_type(module, &runner_spec, &state->runner_type);
}
