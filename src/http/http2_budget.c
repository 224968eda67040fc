/* How much a peer may have us do in a second beside serving its requests. nghttp2 bounds what waits, not what is done;
   so frames are counted by their heads, before it sees them, and the connection ends where there are too many. The same
   look finds mistakes that nghttp2 lets pass. */
#include "http/http2_internal.h"

enum {
    FRAME_HEAD = 9,
    WINDOW_SIZE = 4,   /* the same of a WINDOW_UPDATE frame */
    PRIORITY_SIZE = 5, /* bytes of a PRIORITY frame behind its head; others are nghttp2's to refuse */
    SECOND_MS = 1000,
    SMALL = 64,       /* bytes of a DATA frame that costs about as much as its head */
    PER_DATA = 2,     /* WINDOW_UPDATE frames that a DATA frame of ours is worth: its stream's, the connection's */
    PER_BYTES = 1024, /* and one for each so many of its bytes, as some open their windows often */
    PREFACE = sizeof TRI_HTTP2_PREFACE - 1,
};

/* What ends the connection, for the log. */
static const char *const reasons[TRI_HTTP2_BUDGETS] = {
    [TRI_HTTP2_RESETS] = "too many streams a second are reset",
    [TRI_HTTP2_PINGS] = "too many PING frames a second",
    [TRI_HTTP2_SETTINGS] = "too many SETTINGS frames a second",
    [TRI_HTTP2_EMPTY] = "too many empty frames a second",
    [TRI_HTTP2_SMALL] = "too many small frames a second",
    [TRI_HTTP2_PRIORITIES] = "too many PRIORITY frames a second",
    [TRI_HTTP2_WINDOWS] = "too many WINDOW_UPDATE frames a second",
    [TRI_HTTP2_UNKNOWN] = "too many frames a second that ask for nothing",
};

/* The most of a kind in a second. */
static uint32_t most_of(const tri_limits *limits, enum tri_http2_budgeted kind)
{
    switch (kind) {
    case TRI_HTTP2_RESETS:
        return limits->h2_resets;
    case TRI_HTTP2_PINGS:
        return limits->h2_pings;
    case TRI_HTTP2_SETTINGS:
        return limits->h2_settings;
    case TRI_HTTP2_EMPTY:
        return limits->h2_empty;
    case TRI_HTTP2_SMALL:
        return limits->h2_small;
    case TRI_HTTP2_PRIORITIES:
        return limits->h2_priorities;
    case TRI_HTTP2_WINDOWS:
        return limits->h2_window_updates;
    default:
        return limits->h2_unknown;
    }
}

void tri_http2_budget_init(tri_http2_budget *budget)
{
    *budget = (tri_http2_budget){ .left = PREFACE, .code = NGHTTP2_ENHANCE_YOUR_CALM };
}

const char *tri_http2_budget_spend(tri_http2 *self, enum tri_http2_budgeted kind)
{
    tri_http2_budget *budget = &self->core->budget;
    uint64_t now = *self->now;
    if (now - budget->since >= SECOND_MS) {
        budget->since = now;
        memset(budget->spent, 0, sizeof budget->spent);
        budget->windows = 0;
    }
    uint32_t most = most_of(self->limits, kind);
    uint64_t granted = (uint64_t)most + (kind == TRI_HTTP2_WINDOWS ? budget->windows : 0);
    return most != 0 && ++budget->spent[kind] > granted ? reasons[kind] : NULL;
}

void tri_http2_budget_earn(tri_http2 *self, size_t n)
{
    self->core->budget.windows += PER_DATA + (uint32_t)(n / PER_BYTES);
}

static uint32_t big32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Ends the connection for a mistake that nghttp2 lets pass; for use in a return statement. */
static const char *wrong(tri_http2_budget *budget, uint32_t code, const char *reason)
{
    budget->code = code;
    return reason;
}

/* Notes that the peer has ended a stream. */
static void note_end(tri_http2_budget *budget, uint32_t id)
{
    budget->ended[budget->n_ended++ % TRI_HTTP2_ENDED_KEPT] = id;
}

/* Whether it has ended it a while ago at most: nghttp2 forgets streams that are over, and cannot tell what is late,
   when we have ended one, from what is wrong (RFC 9113 §5.1). */
static bool has_ended(const tri_http2_budget *budget, uint32_t id)
{
    for (size_t i = 0; i < TRI_HTTP2_ENDED_KEPT; i++)
        if (budget->ended[i] == id && id != 0)
            return true;
    return false;
}

/* A stream begins, and with it end those below that have not begun (RFC 9113 §5.1.1). */
static void note_begin(tri_http2_budget *budget, uint32_t id)
{
    if (id - budget->last > 2) {
        budget->skipped_from = budget->last + 1;
        budget->skipped = id - 1;
    }
    budget->last = id;
}

/* A HEADERS frame. One that begins a request is that request's; one for a stream that has begun has its price. */
static const char *on_head_frame(tri_http2 *self, uint32_t id, unsigned flags, uint32_t n)
{
    tri_http2_budget *budget = &self->core->budget;
    bool begins = id > budget->last;
    if (begins)
        note_begin(budget, id);
    else if (has_ended(budget, id))
        return wrong(budget, NGHTTP2_STREAM_CLOSED, "it goes on with a stream that it has ended");
    else if (id >= budget->skipped_from && id <= budget->skipped)
        return wrong(budget, NGHTTP2_PROTOCOL_ERROR, "it begins a stream that is lower than another");
    if (flags & NGHTTP2_FLAG_END_STREAM)
        note_end(budget, id);
    if (n == 0)
        return tri_http2_budget_spend(self, TRI_HTTP2_EMPTY);
    return begins ? NULL : tri_http2_budget_spend(self, TRI_HTTP2_SMALL);
}

/* A CONTINUATION frame. */
static const char *on_continuation(tri_http2 *self, uint32_t n)
{
    uint32_t most = self->limits->h2_continuations;
    if (n == 0)
        return tri_http2_budget_spend(self, TRI_HTTP2_EMPTY);
    return most != 0 && ++self->core->budget.continuations > most ? "a head comes in too many frames" : NULL;
}

/* A DATA frame. */
static const char *on_data_frame(tri_http2 *self, uint32_t id, unsigned flags, uint32_t n)
{
    tri_http2_budget *budget = &self->core->budget;
    bool end = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (has_ended(budget, id))
        return wrong(budget, NGHTTP2_STREAM_CLOSED, "it goes on with a stream that it has ended");
    if (end)
        note_end(budget, id);
    if (n == 0 && !end)
        return tri_http2_budget_spend(self, TRI_HTTP2_EMPTY);
    return n < SMALL && !end ? tri_http2_budget_spend(self, TRI_HTTP2_SMALL) : NULL;
}

/* A PRIORITY frame, which means nothing any more, but may be wrong (RFC 9113 §5.3.2, §6.3; RFC 7540 §5.3.1). */
static const char *on_priority(tri_http2 *self, uint32_t id)
{
    tri_http2_budget *budget = &self->core->budget;
    if (id == 0)
        return wrong(budget, NGHTTP2_PROTOCOL_ERROR, "a PRIORITY frame is for no stream");
    if ((big32(budget->head + FRAME_HEAD) & INT32_MAX) == id)
        return wrong(budget, NGHTTP2_PROTOCOL_ERROR, "a stream depends on itself");
    return tri_http2_budget_spend(self, TRI_HTTP2_PRIORITIES);
}

/* A WINDOW_UPDATE frame: one that opens nothing is wrong also where its stream is over (RFC 9113 §6.9). */
static const char *on_window(tri_http2 *self, uint32_t n)
{
    tri_http2_budget *budget = &self->core->budget;
    if (n == WINDOW_SIZE && (big32(budget->head + FRAME_HEAD) & INT32_MAX) == 0)
        return wrong(budget, NGHTTP2_PROTOCOL_ERROR, "a window is opened by nothing");
    return tri_http2_budget_spend(self, TRI_HTTP2_WINDOWS);
}

/* Counts the frame whose head is complete. NULL, or why the connection is to end. */
static const char *count(tri_http2 *self)
{
    tri_http2_budget *budget = &self->core->budget;
    uint32_t n = big32(budget->head) >> 8, id = big32(budget->head + 5) & INT32_MAX;
    unsigned type = budget->head[3], flags = budget->head[4];
    budget->continuations = type == NGHTTP2_CONTINUATION ? budget->continuations : 0;
    switch (type) {
    case NGHTTP2_DATA:
        return on_data_frame(self, id, flags, n);
    case NGHTTP2_HEADERS:
        return on_head_frame(self, id, flags, n);
    case NGHTTP2_CONTINUATION:
        return on_continuation(self, n);
    case NGHTTP2_PRIORITY:
        return n == PRIORITY_SIZE ? on_priority(self, id) : NULL;
    case NGHTTP2_PRIORITY_UPDATE:
        return tri_http2_budget_spend(self, TRI_HTTP2_PRIORITIES);
    case NGHTTP2_RST_STREAM:
        note_end(budget, id);
        return tri_http2_budget_spend(self, TRI_HTTP2_RESETS);
    case NGHTTP2_SETTINGS:
        return tri_http2_budget_spend(self, TRI_HTTP2_SETTINGS);
    case NGHTTP2_PING:
        return tri_http2_budget_spend(self, TRI_HTTP2_PINGS);
    case NGHTTP2_WINDOW_UPDATE:
        return on_window(self, n);
    default:
        return tri_http2_budget_spend(self, TRI_HTTP2_UNKNOWN);
    }
}

/* How many bytes of a frame have to be there, now that there are so many: of two kinds the next four are looked at,
 * too. */
static size_t wanted(const tri_http2_budget *budget)
{
    if (budget->n < FRAME_HEAD)
        return FRAME_HEAD;
    uint32_t n = big32(budget->head) >> 8;
    bool looked = (budget->head[3] == NGHTTP2_PRIORITY && n == PRIORITY_SIZE)
                  || (budget->head[3] == NGHTTP2_WINDOW_UPDATE && n == WINDOW_SIZE);
    return looked ? sizeof budget->head : FRAME_HEAD;
}

size_t tri_http2_budget_scan(tri_http2 *self, const char *bytes, size_t n, const char **over)
{
    tri_http2_budget *budget = &self->core->budget;
    size_t at = budget->ahead < n ? budget->ahead : n; /* what was counted before, and not taken */
    *over = budget->over;
    while (at < n && *over == NULL) {
        size_t skipped = budget->left < n - at ? budget->left : n - at;
        budget->left -= (uint32_t)skipped;
        at += skipped;
        if (at == n)
            break;
        budget->head[budget->n++] = (uint8_t)bytes[at++];
        size_t want = wanted(budget);
        if (budget->n < want)
            continue;
        budget->n = 0;
        budget->left = (big32(budget->head) >> 8) - (uint32_t)(want - FRAME_HEAD);
        budget->over = *over = count(self);
    }
    budget->ahead = at > budget->ahead ? at : budget->ahead;
    return budget->ahead < n ? budget->ahead : n;
}

void tri_http2_budget_took(tri_http2 *self, size_t n)
{
    self->core->budget.ahead -= n;
}
