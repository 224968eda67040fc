/* Frames: read in place, unmasked into the message that they make, and written with as few copies as there can be. */
#include "ws/ws.h"

#include <string.h>

#include "ws/ws_frame.h"
#include "ws/ws_mask.h"

enum { ALLOCATE_AT_ONCE = 65536 /* bytes of an announced message that are believed before they have come */ };

enum state {
    STATE_HEAD,    /* of a frame */
    STATE_DATA,    /* `left` bytes of a message */
    STATE_CONTROL, /* `left` bytes of a control frame */
    STATE_OVER,    /* a close frame or a failure: nothing more is read */
};

enum flag {
    FLAG_COMPRESSED = 1, /* the message is */
    FLAG_FRAGMENTED = 2, /* the message goes on in another frame */
};

/* The peer has broken the protocol or a limit. `reason` is static. */
static void fail(tri_ws *self, int code, const char *reason)
{
    tri_ws_message_free(self->message, self->shared->mem);
    self->message = NULL;
    self->state = STATE_OVER;
    self->pending = TRI_WS_EVENT_FAIL;
    self->code = (uint16_t)code;
    self->payload = (tri_span){ reason, strlen(reason) };
}

/* The same for an error of the layers below; TRI_ENOMEM stays one. */
static int fail_of(tri_ws *self, int error)
{
    if (error == TRI_ENOMEM)
        return error;
    if (error == TRI_ELIMIT)
        fail(self, TRI_WS_TOO_BIG, "the message is too big");
    else
        fail(self, TRI_WS_INVALID_DATA, "the compressed data is damaged");
    return TRI_OK;
}

/* --- heads of frames --- */

static unsigned opcode_of(const tri_ws *self)
{
    return self->first & 0x0F;
}

static bool is_final(const tri_ws *self)
{
    return (self->first & TRI_WS_FRAME_FIN) != 0;
}

/* What is wrong with the first two bytes of a frame, or NULL. */
static const char *check_start(const tri_ws *self, unsigned char first, unsigned char second)
{
    unsigned opcode = first & 0x0F;
    bool control = opcode >= TRI_WS_FRAME_CLOSE;
    bool goes_on = opcode == TRI_WS_FRAME_CONTINUATION;
    bool may_compress = self->deflate.params.agreed && !control && !goes_on;
    if ((first & 0x30) || ((first & TRI_WS_FRAME_RSV1) && !may_compress))
        return "a reserved bit is set";
    if (opcode > TRI_WS_FRAME_PONG || (opcode > TRI_WS_FRAME_BINARY && opcode < TRI_WS_FRAME_CLOSE))
        return "the opcode is reserved";
    if (!(second & TRI_WS_FRAME_MASK))
        return "the frame is not masked";
    if (control && (!(first & TRI_WS_FRAME_FIN) || (second & 0x7F) > TRI_WS_CONTROL_MOST))
        return "the control frame is fragmented or too long";
    if (!control && goes_on != ((self->flags & FLAG_FRAGMENTED) != 0))
        return goes_on ? "there is no message to go on with" : "the message before is not complete";
    return NULL;
}

/* Bytes of a head that begins with these two. */
static size_t head_size(unsigned char second)
{
    unsigned n = second & 0x7F;
    return 2 + (n == 126 ? 2U : n == 127 ? 8U : 0U) + 4;
}

/* The payload's length; false when it is not told in its shortest form. */
static bool read_length(const unsigned char *head, uint64_t *n)
{
    unsigned form = head[1] & 0x7F;
    unsigned bytes = form == 126 ? 2 : form == 127 ? 8 : 0;
    *n = bytes == 0 ? form : 0;
    for (unsigned i = 0; i < bytes; i++)
        *n = *n << 8 | head[2 + i];
    if (form == 126)
        return *n >= 126;
    return form != 127 || (*n > UINT16_MAX && *n >> 63 == 0);
}

/* The first frame of a message. TRI_ENOMEM. */
static int begin_message(tri_ws *self, uint64_t n)
{
    self->flags = self->first & TRI_WS_FRAME_RSV1 ? FLAG_COMPRESSED : 0;
    self->frames = 0;
    self->wire = 0;
    self->utf8 = (tri_ws_utf8){ 0 };
    uint64_t room = self->flags & FLAG_COMPRESSED ? 4 * n + 64 : n;
    room = room < ALLOCATE_AT_ONCE ? room : ALLOCATE_AT_ONCE;
    room = room < self->shared->limits->ws_message ? room : self->shared->limits->ws_message;
    self->message = tri_ws_message_new(self->shared->mem, (size_t)room);
    if (self->message == NULL)
        return TRI_ENOMEM;
    self->message->text = opcode_of(self) == TRI_WS_FRAME_TEXT;
    return TRI_OK;
}

/* Whether a message may have `n` further bytes on the wire. Those of a compressed one may be a little more than what
   they make; without a bound they could go on for ever and make nothing. */
static bool fits(tri_ws *self, uint64_t n)
{
    uint64_t most = self->shared->limits->ws_message;
    if (!(self->flags & FLAG_COMPRESSED))
        return n <= most - self->message->n;
    most += most / 256 + 256;
    if (n > most - self->wire)
        return false;
    self->wire += n;
    return true;
}

static int end_frame(tri_ws *self);

/* A data frame's head is complete. */
static int begin_data(tri_ws *self, uint64_t n)
{
    if (!(self->flags & FLAG_FRAGMENTED)) {
        int error = begin_message(self, n);
        if (error != TRI_OK)
            return error;
    }
    uint32_t most_frames = self->shared->limits->ws_fragments;
    if (!fits(self, n)) {
        fail(self, TRI_WS_TOO_BIG, "the message is too big");
    } else if (++self->frames > most_frames && most_frames != 0) {
        fail(self, TRI_WS_POLICY, "the message has too many fragments");
    } else {
        self->state = STATE_DATA;
        self->flags = (uint8_t)((self->flags & ~FLAG_FRAGMENTED) | (is_final(self) ? 0 : FLAG_FRAGMENTED));
        if (n == 0)
            return end_frame(self);
    }
    return TRI_OK;
}

/* A control frame is complete: its payload is `bytes`. */
static void end_control(tri_ws *self, tri_span bytes)
{
    self->state = STATE_HEAD;
    self->payload = bytes;
    if (opcode_of(self) != TRI_WS_FRAME_CLOSE) {
        self->pending = opcode_of(self) == TRI_WS_FRAME_PING ? TRI_WS_EVENT_PING : TRI_WS_EVENT_PONG;
        return;
    }
    int code = TRI_WS_NO_STATUS;
    int wrong = tri_ws_frame_read_close(bytes, &code, &self->payload);
    if (wrong != 0) {
        fail(self, wrong, wrong == TRI_WS_INVALID_DATA ? "the reason is not UTF-8" : "the close code is not one");
        return;
    }
    self->state = STATE_OVER;
    self->pending = TRI_WS_EVENT_CLOSE;
    self->code = (uint16_t)code;
}

/* A frame's head is complete. */
static int begin_frame(tri_ws *self)
{
    self->head_n = 0;
    uint64_t n;
    if (!read_length(self->head, &n)) {
        fail(self, TRI_WS_PROTOCOL_ERROR, "the length is not in its shortest form");
        return TRI_OK;
    }
    self->first = self->head[0];
    memcpy(&self->key, self->head + head_size(self->head[1]) - sizeof self->key, sizeof self->key);
    self->left = n;
    self->at = 0;
    if (opcode_of(self) < TRI_WS_FRAME_CLOSE)
        return begin_data(self, n);
    self->state = STATE_CONTROL;
    if (n == 0)
        end_control(self, (tri_span){ NULL, 0 });
    return TRI_OK;
}

/* Takes bytes of a frame's head; sets `*took`. TRI_ENOMEM. */
static int take_head(tri_ws *self, const char *bytes, size_t n, size_t *took)
{
    *took = 0;
    size_t wanted = self->head_n < 2 ? 2 : head_size(self->head[1]);
    while (self->head_n < wanted && *took < n) {
        self->head[self->head_n++] = (unsigned char)bytes[(*took)++];
        if (self->head_n != 2)
            continue;
        const char *wrong = check_start(self, self->head[0], self->head[1]);
        if (wrong != NULL) {
            fail(self, TRI_WS_PROTOCOL_ERROR, wrong);
            return TRI_OK;
        }
        wanted = head_size(self->head[1]);
    }
    return self->head_n < wanted ? TRI_OK : begin_frame(self);
}

/* --- payloads --- */

/* Looks at what has come to the message from `from` on. */
static void check_text(tri_ws *self, size_t from)
{
    tri_ws_message *message = self->message;
    if (message->text && !tri_ws_utf8_go_on(&self->utf8, message->bytes + from, message->n - from))
        fail(self, TRI_WS_INVALID_DATA, "the text is not UTF-8");
}

/* Inflates bytes into the message, and the end of it when that has come. */
static int inflate_into(tri_ws *self, tri_span bytes, bool end)
{
    size_t from = self->message->n;
    int error = tri_ws_deflate_inflate(&self->deflate, bytes, end, &self->message, self->shared->limits->ws_message);
    self->shared->inflated += self->message->n - from;
    if (error != TRI_ENOMEM)
        check_text(self, from); /* what came before the error, which may be wrong as well */
    return error == TRI_OK || self->pending == TRI_WS_EVENT_FAIL ? TRI_OK : fail_of(self, error);
}

/* A data frame is complete, and perhaps its message. */
static int end_frame(tri_ws *self)
{
    self->state = STATE_HEAD;
    if (self->flags & FLAG_FRAGMENTED)
        return TRI_OK;
    if (self->flags & FLAG_COMPRESSED) {
        int error = inflate_into(self, (tri_span){ NULL, 0 }, true);
        if (error != TRI_OK || self->pending == TRI_WS_EVENT_FAIL)
            return error;
    }
    self->message->ascii = !self->utf8.beyond_ascii;
    if (self->message->text && !tri_ws_utf8_complete(&self->utf8))
        fail(self, TRI_WS_INVALID_DATA, "the text ends within a character");
    else
        self->pending = TRI_WS_EVENT_MESSAGE;
    return TRI_OK;
}

/* Unmasks bytes to where they belong. */
static int take_plain(tri_ws *self, const char *bytes, size_t n)
{
    size_t most = is_final(self) ? self->message->n + (size_t)self->left : self->shared->limits->ws_message;
    int error = tri_ws_message_reserve(&self->message, self->shared->mem, n, most);
    if (error != TRI_OK)
        return error;
    size_t from = self->message->n;
    tri_ws_mask_copy(self->message->bytes + from, bytes, n, self->key, self->at);
    self->message->n += n;
    check_text(self, from);
    return TRI_OK;
}

/* Takes bytes of a data frame. */
static int take_data(tri_ws *self, char *bytes, size_t n)
{
    int error;
    if (self->flags & FLAG_COMPRESSED) {
        tri_ws_mask_copy(bytes, bytes, n, self->key, self->at);
        error = inflate_into(self, (tri_span){ bytes, n }, false);
    } else {
        error = take_plain(self, bytes, n);
    }
    self->left -= n;
    self->at += n;
    if (error != TRI_OK || self->pending == TRI_WS_EVENT_FAIL || self->left > 0)
        return error;
    return end_frame(self);
}

/* Takes bytes of a control frame; when they came in pieces, they are put together. */
static int take_control(tri_ws *self, char *bytes, size_t n)
{
    tri_ws_mask_copy(bytes, bytes, n, self->key, self->at);
    tri_span payload = { bytes, n };
    self->left -= n;
    self->at += n;
    if (self->left > 0 || self->at > n) {
        int error = tri_buf_append(&self->control, self->shared->mem, payload, TRI_WS_CONTROL_MOST);
        if (error != TRI_OK)
            return error;
        payload = (tri_span){ tri_buf_data(&self->control), tri_buf_len(&self->control) };
    }
    if (self->left == 0)
        end_control(self, payload);
    return TRI_OK;
}

/* --- the operations --- */

/* Takes bytes of whatever is due; sets `*took`. */
static int take(tri_ws *self, char *bytes, size_t n, size_t *took)
{
    if (self->state == STATE_HEAD)
        return take_head(self, bytes, n, took);
    *took = n < self->left ? n : (size_t)self->left;
    if (self->state == STATE_DATA)
        return take_data(self, bytes, *took);
    return take_control(self, bytes, *took);
}

static ptrdiff_t recv_bytes(tri_ws_protocol *protocol, char *bytes, size_t n)
{
    tri_ws *self = (tri_ws *)protocol;
    size_t done = 0;
    if (self->pending != TRI_WS_EVENT_NONE)
        return 0;
    if (self->state == STATE_OVER)
        return (ptrdiff_t)n;
    if (self->state == STATE_HEAD)
        tri_buf_release(&self->control, self->shared->mem);
    while (done < n && self->pending == TRI_WS_EVENT_NONE) {
        size_t took;
        int error = take(self, bytes + done, n - done, &took);
        if (error != TRI_OK)
            return error;
        done += took;
    }
    return (ptrdiff_t)done;
}

static void next_event(tri_ws_protocol *protocol, tri_ws_event *event)
{
    tri_ws *self = (tri_ws *)protocol;
    *event = (tri_ws_event){ .type = (enum tri_ws_event_type)self->pending };
    self->pending = TRI_WS_EVENT_NONE;
    if (event->type == TRI_WS_EVENT_MESSAGE) {
        event->message = self->message;
        self->message = NULL;
    } else if (event->type != TRI_WS_EVENT_NONE) {
        event->payload = self->payload;
        event->code = self->code;
    }
}

static ptrdiff_t negotiate(tri_ws_protocol *protocol, tri_span offers, char *answer)
{
    tri_ws *self = (tri_ws *)protocol;
    const tri_ws_deflate_options *options = self->shared->deflate.options;
    return (ptrdiff_t)tri_ws_deflate_negotiate(options, offers, &self->deflate.params, answer);
}

static int submit_message(tri_ws_protocol *protocol, tri_chain *out, const tri_loan *loan, enum tri_ws_data data)
{
    tri_ws *self = (tri_ws *)protocol;
    unsigned char first = TRI_WS_FRAME_FIN | (data == TRI_WS_TEXT ? TRI_WS_FRAME_TEXT : TRI_WS_FRAME_BINARY);
    tri_chain_pool *chains = self->shared->chains;
    if (!tri_ws_deflate_wants(&self->deflate, loan->bytes.n))
        return tri_ws_frame_write(out, chains, first, loan);
    tri_loan packed = { .bytes = { NULL, 0 } };
    int error = tri_ws_deflate_message(&self->deflate, loan->bytes, &packed.bytes);
    if (error == TRI_OK)
        error = tri_ws_frame_write(out, chains, first | TRI_WS_FRAME_RSV1, &packed);
    if (error == TRI_OK && loan->release != NULL)
        loan->release(loan->owner);
    return error;
}

static int submit_ping(tri_ws_protocol *protocol, tri_chain *out, tri_span payload)
{
    const tri_loan loan = { .bytes = payload };
    return tri_ws_frame_write(out, ((tri_ws *)protocol)->shared->chains, TRI_WS_FRAME_FIN | TRI_WS_FRAME_PING, &loan);
}

static int submit_pong(tri_ws_protocol *protocol, tri_chain *out, tri_span payload)
{
    const tri_loan loan = { .bytes = payload };
    return tri_ws_frame_write(out, ((tri_ws *)protocol)->shared->chains, TRI_WS_FRAME_FIN | TRI_WS_FRAME_PONG, &loan);
}

static int submit_close(tri_ws_protocol *protocol, tri_chain *out, int code, tri_span reason)
{
    char payload[TRI_WS_CONTROL_MOST];
    tri_loan loan = { .bytes = { payload, tri_ws_frame_put_close(payload, code, reason) } };
    return tri_ws_frame_write(out, ((tri_ws *)protocol)->shared->chains, TRI_WS_FRAME_FIN | TRI_WS_FRAME_CLOSE, &loan);
}

static int shares(const tri_ws_protocol *protocol, size_t n)
{
    const tri_ws *self = (const tri_ws *)protocol;
    return tri_ws_deflate_wants(&self->deflate, n) ? self->deflate.params.send_bits : 0;
}

static int submit_shared(tri_ws_protocol *protocol, tri_chain *out, const tri_loan *frame, bool compressed)
{
    tri_ws *self = (tri_ws *)protocol;
    tri_chain_pool *chains = self->shared->chains;
    bool copies = frame->release == NULL || frame->bytes.n < TRI_WS_FRAME_BORROW;
    int error = copies ? tri_chain_copy(out, chains, frame->bytes) : tri_chain_borrow(out, chains, *frame);
    if (error != TRI_OK)
        return error;
    if (compressed)
        tri_ws_deflate_forget(&self->deflate);
    if (copies && frame->release != NULL)
        frame->release(frame->owner);
    return TRI_OK;
}

static void fini(tri_ws_protocol *protocol)
{
    tri_ws *self = (tri_ws *)protocol;
    tri_ws_message_free(self->message, self->shared->mem);
    self->message = NULL;
    tri_buf_release(&self->control, self->shared->mem);
    tri_ws_deflate_fini(&self->deflate);
    self->pending = TRI_WS_EVENT_NONE;
    self->state = STATE_OVER;
}

static const tri_ws_ops ops = {
    .name = "tricorn",
    .negotiate = negotiate,
    .recv = recv_bytes,
    .next_event = next_event,
    .submit_message = submit_message,
    .submit_ping = submit_ping,
    .submit_pong = submit_pong,
    .submit_close = submit_close,
    .shares = shares,
    .submit_shared = submit_shared,
    .fini = fini,
};

void tri_ws_shared_init(tri_ws_shared *shared, const tri_mem *mem, const tri_limits *limits, tri_chain_pool *chains,
                        const tri_ws_deflate_options *options)
{
    *shared = (tri_ws_shared){ .mem = mem, .limits = limits, .chains = chains };
    tri_ws_deflate_shared_init(&shared->deflate, mem, options);
}

void tri_ws_shared_fini(tri_ws_shared *shared)
{
    tri_ws_deflate_shared_fini(&shared->deflate);
}

void tri_ws_init(tri_ws *self, tri_ws_shared *shared)
{
    *self = (tri_ws){ .protocol = { &ops }, .shared = shared };
    tri_ws_deflate_init(&self->deflate, &shared->deflate);
}
