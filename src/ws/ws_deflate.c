#include "ws/ws_deflate.h"

#include <assert.h>
#include <stdio.h>
#include <zlib.h>

#include "ws/ws_handshake.h"

enum {
    WINDOW_MOST = 32768,
    SCRATCH_LEAST = 1024,
    MEMORY_HEAD = 16,  /* bytes before each of zlib's allocations, for its size */
    OUTPUT_LEAST = 64, /* room that inflate is given at least */
    LASTS_MOST = 8,    /* last blocks in a message: each costs a window's copy */
    TAIL = 4,          /* bytes that end each message, and are not sent (RFC 7692 §7.2.1) */
    AT_BLOCK = 128,    /* zlib's data_type where a block, that is not the last, has ended with a byte */
};

/* One of zlib's streams, and whose it is. */
struct tri_ws_stream {
    tri_list link; /* in shared->kept, or in no list in the midst of a message */
    tri_ws_deflate *owner;
    unsigned used; /* shared->used when it last was */
    z_stream z;
};

/* --- zlib's memory --- */

static void *take_memory(void *context, unsigned items, unsigned size)
{
    size_t whole = (size_t)items * size + MEMORY_HEAD;
    char *p = tri_mem_alloc(context, whole);
    if (p == NULL)
        return NULL;
    memcpy(p, &whole, sizeof whole);
    return p + MEMORY_HEAD;
}

static void give_memory(void *context, void *memory)
{
    char *p = (char *)memory - MEMORY_HEAD;
    size_t whole;
    memcpy(&whole, p, sizeof whole);
    tri_mem_free(context, p, whole);
}

/* A stream's struct without zlib's part, NULL when memory is short. */
static tri_ws_stream *new_stream(const tri_mem *mem, tri_ws_deflate *owner)
{
    tri_ws_stream *stream = tri_mem_zalloc(mem, sizeof *stream);
    if (stream == NULL)
        return NULL;
    tri_list_init(&stream->link);
    stream->owner = owner;
    stream->z.zalloc = take_memory;
    stream->z.zfree = give_memory;
    stream->z.opaque = (void *)(uintptr_t)mem;
    return stream;
}

/* --- who keeps a stream --- */

static void unlink_stream(tri_ws_deflate_shared *shared, tri_ws_stream *stream)
{
    if (tri_list_empty(&stream->link))
        return;
    tri_list_remove(&stream->link);
    shared->n_kept--;
}

static void free_sending(tri_ws_deflate *self)
{
    tri_ws_stream *stream = self->sending;
    if (stream == NULL)
        return;
    unlink_stream(self->shared, stream);
    deflateEnd(&stream->z);
    tri_mem_free(self->shared->mem, stream, sizeof *stream);
    self->sending = NULL;
}

static void free_receiving(tri_ws_deflate *self)
{
    tri_ws_stream *stream = self->receiving;
    if (stream == NULL)
        return;
    unlink_stream(self->shared, stream);
    inflateEnd(&stream->z);
    tri_mem_free(self->shared->mem, stream, sizeof *stream);
    self->receiving = NULL;
}

static void free_window(tri_ws_deflate *self)
{
    tri_mem_free(self->shared->mem, self->window, self->window_n);
    self->window = NULL;
    self->window_n = 0;
}

/* Keeps the decompressor's window and gives up the rest. False when there is no memory even for that: it is kept. */
static bool park_receiving(tri_ws_deflate *self)
{
    Bytef window[WINDOW_MOST];
    unsigned n = 0;
    (void)inflateGetDictionary(&self->receiving->z, window, &n);
    if (n > 0) {
        self->window = tri_mem_alloc(self->shared->mem, n);
        if (self->window == NULL)
            return false;
        memcpy(self->window, window, n);
        self->window_n = (uint16_t)n;
    }
    free_receiving(self);
    return true;
}

/* Gives up a stream that is not in the midst of a message; false when it cannot. */
static bool give_up(tri_ws_stream *stream)
{
    tri_ws_deflate *owner = stream->owner;
    if (owner->receiving == stream)
        return park_receiving(owner);
    free_sending(owner);
    return true;
}

/* The stream has come to the end of a message: it is kept for the next, and others may have to go. */
static void keep(tri_ws_deflate_shared *shared, tri_ws_stream *stream)
{
    unlink_stream(shared, stream);
    stream->used = shared->used;
    tri_list_append(&shared->kept, &stream->link);
    shared->n_kept++;
    while (shared->n_kept > shared->options->streams)
        if (!give_up(TRI_CONTAINER(shared->kept.next, tri_ws_stream, link)))
            break;
}

void tri_ws_deflate_shared_init(tri_ws_deflate_shared *shared, const tri_mem *mem,
                                const tri_ws_deflate_options *options)
{
    *shared = (tri_ws_deflate_shared){ .mem = mem, .options = options };
    tri_list_init(&shared->kept);
}

static void free_scratch(tri_ws_deflate_shared *shared)
{
    tri_mem_free(shared->mem, shared->scratch, shared->scratch_size);
    shared->scratch = NULL;
    shared->scratch_size = 0;
}

bool tri_ws_deflate_shared_trim(tri_ws_deflate_shared *shared)
{
    bool any = shared->scratch_most < shared->scratch_size / 4; /* one large message is no reason to keep so much */
    if (any)
        free_scratch(shared);
    shared->scratch_most = 0;
    while (!tri_list_empty(&shared->kept)) {
        tri_ws_stream *stream = TRI_CONTAINER(shared->kept.next, tri_ws_stream, link);
        if (stream->used == shared->used || !give_up(stream))
            break;
        any = true;
    }
    shared->used++;
    return any;
}

void tri_ws_deflate_shared_fini(tri_ws_deflate_shared *shared)
{
    assert(shared->n_kept == 0);
    free_scratch(shared);
}

void tri_ws_deflate_init(tri_ws_deflate *self, tri_ws_deflate_shared *shared)
{
    *self = (tri_ws_deflate){ .shared = shared };
}

void tri_ws_deflate_fini(tri_ws_deflate *self)
{
    free_sending(self);
    free_receiving(self);
    free_window(self);
}

/* --- receiving --- */

/* A decompressor that goes on where the last one stood. Z_OK, or what zlib has against it. */
static int start_inflate(tri_ws_deflate *self)
{
    tri_ws_stream *stream = new_stream(self->shared->mem, self);
    if (stream == NULL)
        return Z_MEM_ERROR;
    int error = inflateInit2(&stream->z, -(int)self->params.recv_bits);
    if (error != Z_OK) {
        tri_mem_free(self->shared->mem, stream, sizeof *stream);
        return error;
    }
    self->receiving = stream;
    if (self->window != NULL)
        error = inflateSetDictionary(&stream->z, (const Bytef *)self->window, self->window_n);
    if (error == Z_OK)
        free_window(self);
    return error;
}

/* A block that says it is the last ends the deflated data but not the message (RFC 7692 §7.2.3.4): what follows is a
   stream of its own that may refer to what came before. */
static int go_on_behind_last(tri_ws_deflate *self)
{
    if (self->lasts++ == LASTS_MOST)
        return Z_DATA_ERROR;
    z_stream *z = &self->receiving->z;
    Bytef window[WINDOW_MOST];
    unsigned n = 0;
    (void)inflateGetDictionary(z, window, &n);
    (void)inflateReset(z);
    return inflateSetDictionary(z, window, n);
}

/* Goes on where the message is full: room for one byte shows whether anything more would come. */
static int inflate_beyond(z_stream *z)
{
    Bytef one;
    z->next_out = &one;
    z->avail_out = 1;
    return inflate(z, Z_SYNC_FLUSH);
}

/* One call of inflate into the message's free room. */
static int inflate_some(z_stream *z, tri_ws_message *message)
{
    z->next_out = (Bytef *)message->bytes + message->n;
    z->avail_out = (uInt)(message->room - message->n);
    uInt offered = z->avail_out;
    int status = inflate(z, Z_SYNC_FLUSH);
    message->n += offered - z->avail_out;
    return status;
}

/* What zlib's answer means. */
static int error_of(int status)
{
    return status == Z_MEM_ERROR ? TRI_ENOMEM : TRI_EPROTO;
}

/* Whether a message may end here: between two blocks, and two bytes. */
static bool at_block(const z_stream *z)
{
    return z->total_in == 0 || z->data_type == AT_BLOCK;
}

/* Inflates all of `bytes`. Where nothing is left to come out it is not tried: that would begin a block. */
static int inflate_bytes(tri_ws_deflate *self, tri_span bytes, tri_ws_message **message, size_t most)
{
    z_stream *z = &self->receiving->z;
    z->next_in = (Bytef *)(uintptr_t)bytes.p;
    z->avail_in = (uInt)bytes.n;
    for (;;) {
        size_t room = most - (*message)->n;
        int status;
        if (room == 0) {
            status = inflate_beyond(z);
            if (z->avail_out == 0)
                return TRI_ELIMIT;
        } else {
            if (tri_ws_message_reserve(message, self->shared->mem, room < OUTPUT_LEAST ? room : OUTPUT_LEAST, most))
                return TRI_ENOMEM;
            status = inflate_some(z, *message);
        }
        if (status == Z_STREAM_END)
            status = go_on_behind_last(self);
        bool done = z->avail_in == 0 && (z->avail_out > 0 || at_block(z));
        if (status == Z_BUF_ERROR && done)
            status = Z_OK; /* there was nothing to do */
        if (status != Z_OK)
            return error_of(status);
        if (done)
            return TRI_OK;
    }
}

/* Inflates the tail that the peer has left out. Some do not: they leave nothing to add, as an empty message and a last
   block at the end do. A message that ends elsewhere was cut off: the next would begin within it. */
static int inflate_tail(tri_ws_deflate *self, tri_ws_message **message, size_t most)
{
    const z_stream *z = &self->receiving->z;
    if (at_block(z))
        return TRI_OK;
    int error = inflate_bytes(self, (tri_span){ "\x00\x00\xff\xff", TAIL }, message, most);
    return error == TRI_OK && !at_block(z) ? TRI_EPROTO : error;
}

int tri_ws_deflate_inflate(tri_ws_deflate *self, tri_span bytes, bool end, tri_ws_message **message, size_t most)
{
    if (self->receiving == NULL) {
        int status = start_inflate(self);
        if (status != Z_OK)
            return error_of(status);
    }
    unlink_stream(self->shared, self->receiving); /* in the midst of a message it stays */
    int error = bytes.n == 0 ? TRI_OK : inflate_bytes(self, bytes, message, most);
    if (error != TRI_OK || !end)
        return error;
    error = inflate_tail(self, message, most);
    if (error != TRI_OK)
        return error;
    self->lasts = 0;
    if (self->params.recv_no_context)
        (void)inflateReset(&self->receiving->z);
    keep(self->shared, self->receiving);
    return TRI_OK;
}

/* --- sending --- */

/* A compressor as the options want it, with a window of 2^bits bytes. */
static int init_deflate(const tri_ws_deflate_options *options, z_stream *z, unsigned bits)
{
    return deflateInit2(z, options->level, Z_DEFLATED, -(int)bits, options->mem_level, Z_DEFAULT_STRATEGY);
}

static int start_deflate(tri_ws_deflate *self)
{
    tri_ws_stream *stream = new_stream(self->shared->mem, self);
    if (stream == NULL)
        return TRI_ENOMEM;
    if (init_deflate(self->shared->options, &stream->z, self->params.send_bits) != Z_OK) {
        tri_mem_free(self->shared->mem, stream, sizeof *stream);
        return TRI_ENOMEM;
    }
    self->sending = stream;
    return TRI_OK;
}

/* Sees to `size` bytes of scratch. */
static int reserve_scratch(tri_ws_deflate_shared *shared, size_t size)
{
    if (size > shared->scratch_most)
        shared->scratch_most = size;
    if (size <= shared->scratch_size)
        return TRI_OK;
    char *scratch = tri_mem_resize(shared->mem, shared->scratch, shared->scratch_size, size);
    if (scratch == NULL)
        return TRI_ENOMEM;
    shared->scratch = scratch;
    shared->scratch_size = size;
    return TRI_OK;
}

/* Deflates a message into the scratch, up to a byte's boundary, and leaves the tail out. */
static int deflate_bytes(tri_ws_deflate_shared *shared, z_stream *z, tri_span message, tri_span *out)
{
    size_t bound = deflateBound(z, message.n) + SCRATCH_LEAST; /* for the flush that ends it, too */
    if (message.n > UINT32_MAX || bound > UINT32_MAX)
        return TRI_EINVAL;
    int error = reserve_scratch(shared, bound);
    if (error != TRI_OK)
        return error;
    z->next_in = (Bytef *)(uintptr_t)message.p;
    z->avail_in = (uInt)message.n;
    z->next_out = (Bytef *)shared->scratch;
    z->avail_out = (uInt)bound;
    if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_out == 0)
        return TRI_ENOMEM;
    size_t n = bound - z->avail_out;
    assert(n >= TAIL);
    *out = (tri_span){ shared->scratch, n - TAIL };
    return TRI_OK;
}

int tri_ws_deflate_message(tri_ws_deflate *self, tri_span message, tri_span *out)
{
    int error = self->sending == NULL ? start_deflate(self) : TRI_OK;
    if (error != TRI_OK)
        return error;
    error = deflate_bytes(self->shared, &self->sending->z, message, out);
    if (error != TRI_OK) {
        free_sending(self); /* what it has learnt was not sent */
        return error;
    }
    if (self->params.send_no_context)
        deflateReset(&self->sending->z);
    keep(self->shared, self->sending);
    return TRI_OK;
}

int tri_ws_deflate_alone(tri_ws_deflate_shared *shared, unsigned bits, tri_span message, tri_span *out)
{
    z_stream z = { .zalloc = take_memory, .zfree = give_memory, .opaque = (void *)(uintptr_t)shared->mem };
    if (init_deflate(shared->options, &z, bits) != Z_OK)
        return TRI_ENOMEM;
    int error = deflate_bytes(shared, &z, message, out);
    deflateEnd(&z);
    return error;
}

void tri_ws_deflate_forget(tri_ws_deflate *self)
{
    if (self->sending != NULL)
        deflateReset(&self->sending->z);
}

/* --- negotiating --- */

/* One offer's parameters, as they were given. */
typedef struct offer {
    bool server_no_context;
    bool client_no_context;
    bool client_bits_given;
    unsigned server_bits; /* 0 when not given */
    unsigned client_bits; /* 0 when given without a value, or not */
} offer;

/* 8 to 15 in decimal, perhaps in quotes; 0 when it is not. */
static unsigned parse_bits(tri_span value)
{
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
        value = (tri_span){ value.p + 1, value.n - 2 };
    if (value.n == 1 && (value.p[0] == '8' || value.p[0] == '9'))
        return (unsigned)(value.p[0] - '0');
    if (value.n == 2 && value.p[0] == '1' && value.p[1] >= '0' && value.p[1] <= '5')
        return 10U + (unsigned)(value.p[1] - '0');
    return 0;
}

/* Sets a flag that may be given once, without a value. */
static bool set_flag(bool *flag, bool has_value)
{
    bool first = !*flag;
    *flag = true;
    return first && !has_value;
}

/* Reads one parameter; false when the offer is none that could be agreed to. */
static bool read_parameter(offer *self, tri_span parameter)
{
    const char *equals = memchr(parameter.p, '=', parameter.n);
    tri_span name = { parameter.p, equals == NULL ? parameter.n : (size_t)(equals - parameter.p) };
    tri_span value = { parameter.p + name.n + (equals != NULL), parameter.n - name.n - (equals != NULL) };
    if (tri_span_eq(name, TRI_SPAN("server_no_context_takeover")))
        return set_flag(&self->server_no_context, equals != NULL);
    if (tri_span_eq(name, TRI_SPAN("client_no_context_takeover")))
        return set_flag(&self->client_no_context, equals != NULL);
    if (tri_span_eq(name, TRI_SPAN("server_max_window_bits"))) {
        bool first = self->server_bits == 0;
        self->server_bits = parse_bits(value);
        return first && self->server_bits > 8; /* zlib has no window of 8 bits */
    }
    if (!tri_span_eq(name, TRI_SPAN("client_max_window_bits")))
        return false;
    self->client_bits = equals == NULL ? 0 : parse_bits(value);
    return set_flag(&self->client_bits_given, equals != NULL && self->client_bits == 0);
}

/* Reads an offer; false when it is not of this extension, or none that could be agreed to. */
static bool read_offer(offer *self, tri_span text)
{
    tri_span part;
    *self = (offer){ 0 };
    if (!tri_ws_handshake_split(&text, ';', &part) || !tri_span_eq(part, TRI_SPAN("permessage-deflate")))
        return false;
    while (tri_ws_handshake_split(&text, ';', &part))
        if (!read_parameter(self, part))
            return false;
    return true;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* What the offer and the options come to. */
static tri_ws_deflate_params agree(const tri_ws_deflate_options *options, const offer *from)
{
    unsigned server = from->server_bits == 0 ? 15 : from->server_bits;
    unsigned client = from->client_bits == 0 ? 15 : from->client_bits;
    return (tri_ws_deflate_params){
        .agreed = true,
        .send_no_context = from->server_no_context || options->no_context,
        .recv_no_context = from->client_no_context || options->client_no_context,
        .send_bits = (uint8_t)least(server, options->window_bits),
        .recv_bits = (uint8_t)(from->client_bits_given ? least(client, options->window_bits) : 15),
    };
}

/* Writes the answer to an offer. */
static size_t write_answer(const offer *to, const tri_ws_deflate_params *params, char *answer)
{
    char server_bits[32] = "", client_bits[32] = "";
    if (to->server_bits != 0 || params->send_bits < 15)
        snprintf(server_bits, sizeof server_bits, "; server_max_window_bits=%u", params->send_bits);
    if (to->client_bits_given && params->recv_bits < 15)
        snprintf(client_bits, sizeof client_bits, "; client_max_window_bits=%u", params->recv_bits);
    return (size_t)snprintf(answer, TRI_WS_DEFLATE_ANSWER, "permessage-deflate%s%s%s%s",
                            params->send_no_context ? "; server_no_context_takeover" : "",
                            params->recv_no_context ? "; client_no_context_takeover" : "", server_bits, client_bits);
}

size_t tri_ws_deflate_negotiate(const tri_ws_deflate_options *options, tri_span offers, tri_ws_deflate_params *params,
                                char answer[TRI_WS_DEFLATE_ANSWER])
{
    tri_span element;
    offer one;
    *params = (tri_ws_deflate_params){ 0 };
    if (!options->enabled)
        return 0;
    while (tri_ws_handshake_next(&offers, &element)) {
        if (!read_offer(&one, element))
            continue;
        *params = agree(options, &one);
        return write_answer(&one, params, answer);
    }
    return 0;
}

const char *tri_ws_deflate_zlib_version(void)
{
    return zlibVersion();
}
