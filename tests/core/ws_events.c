/* Plays what others made: cases on standard input, events or frames on standard output. A case is a byte that says what
   is agreed and asked for, the number of pieces in four bytes (big-endian, as all of them), and each piece with its
   length before it. When pieces arrive, a line tells of each event, bytes in hexadecimal; when they are sent, a line
   has the frame of each. A line with a dot ends a case. */
#include "ws_record.h"

/* The byte's bits. */
enum { COMPRESSED = 1, ALONE = 2, FEW_STREAMS = 4, SEND = 8 };

static ws_record driver;

static bool read_all(void *to, size_t n)
{
    return fread(to, 1, n, stdin) == n;
}

/* A length of four bytes, which is at most `most`. */
static size_t read_length(size_t most)
{
    unsigned char bytes[4];
    if (!read_all(bytes, sizeof bytes))
        abort();
    size_t n = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    if (n > most)
        abort();
    return n;
}

static void print_bytes(tri_span bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        printf("%02x", (unsigned char)bytes.p[i]);
    putchar('\n');
}

static void print_event(const tri_ws_event *event)
{
    if (event->type == TRI_WS_EVENT_MESSAGE) {
        printf(event->message->text ? "text " : "binary ");
        print_bytes((tri_span){ event->message->bytes, event->message->n });
        tri_ws_message_free(event->message, &driver.mem.mem);
    } else if (event->type == TRI_WS_EVENT_FAIL) {
        printf("fail %d %.*s\n", event->code, (int)event->payload.n, event->payload.p);
    } else {
        if (event->type == TRI_WS_EVENT_CLOSE)
            printf("close %d ", event->code);
        else
            printf(event->type == TRI_WS_EVENT_PING ? "ping " : "pong ");
        print_bytes(event->payload);
    }
}

/* A piece arrives. */
static void receive(const char *bytes, size_t n)
{
    char *p = check_page_reuse(bytes, n);
    tri_ws_event event;
    for (size_t at = 0; at < n;) {
        ptrdiff_t took = driver.protocol->ops->recv(driver.protocol, p + at, n - at);
        if (took < 0)
            abort();
        at += (size_t)took;
        for (driver.protocol->ops->next_event(driver.protocol, &event); event.type != TRI_WS_EVENT_NONE;
             driver.protocol->ops->next_event(driver.protocol, &event))
            print_event(&event);
    }
}

/* A piece is sent; its first byte tells what as: t(ext), b(inary), p(ing), P(ong) or c(lose, with a code before the
   reason). */
static void send_piece(const char *bytes, size_t n)
{
    static char frame[WS_BYTES_MAX + TRI_WS_FRAME_HEAD + 1024];
    const tri_ws_ops *ops = driver.protocol->ops;
    const tri_loan loan = { .bytes = { bytes + 1, n - 1 } };
    int error = 0;
    if (bytes[0] == 't' || bytes[0] == 'b')
        error = ops->submit_message(driver.protocol, &driver.out, &loan, bytes[0] == 't' ? TRI_WS_TEXT : TRI_WS_BINARY);
    else if (bytes[0] == 'p')
        error = ops->submit_ping(driver.protocol, &driver.out, loan.bytes);
    else if (bytes[0] == 'P')
        error = ops->submit_pong(driver.protocol, &driver.out, loan.bytes);
    else
        error = ops->submit_close(driver.protocol, &driver.out, (unsigned char)bytes[1] << 8 | (unsigned char)bytes[2],
                                  (tri_span){ bytes + 3, n - 3 });
    if (error != 0)
        abort();
    print_bytes((tri_span){ frame, ws_record_take(&driver, frame, sizeof frame) });
}

static void play(unsigned choice)
{
    static char piece[WS_BYTES_MAX];
    ws_record_init(&driver);
    driver.options.streams = choice & FEW_STREAMS ? 0 : 16;
    driver.options.no_context = (choice & ALONE) != 0;
    ws_record_open(&driver);
    if (choice & COMPRESSED)
        CHECK(*ws_record_agree(&driver, choice & ALONE ? "permessage-deflate; client_no_context_takeover"
                                                       : "permessage-deflate"));
    for (size_t count = read_length(UINT32_MAX); count > 0; count--) {
        size_t n = read_length(sizeof piece);
        if (!read_all(piece, n))
            abort();
        if (choice & SEND)
            send_piece(piece, n);
        else
            receive(piece, n);
    }
    ws_record_close(&driver);
    puts(".");
}

int main(void)
{
    for (int choice = getchar(); choice != EOF; choice = getchar())
        play((unsigned)choice);
    return check_failed != 0;
}
