/* TLS on a descriptor: every split of what comes, both ends' closing, floods, and a socket that is full. */
#include "tls_peer.h"

static check_mem memory;
static SSL_CTX *modern, *older; /* what clients speak: TLS 1.3 and 1.2 */

enum { BODY = 100000 };

/* Bytes that do not repeat soon. */
static const char *body(void)
{
    static char bytes[BODY];
    unsigned state = 1;
    for (size_t i = 0; i < sizeof bytes && bytes[BODY - 1] == 0; i++) {
        state = state * 1103515245 + 12345;
        bytes[i] = (char)(state >> 16 | 1);
    }
    return bytes;
}

/* Has the client write into memory instead of the socket, for the test to send it on in pieces. */
static void hold_back(pair *self)
{
    SSL_set0_wbio(self->client, BIO_new(BIO_s_mem()));
}

/* Sends at most `n` of the bytes that are held back; how many. */
static int send_on(pair *self, int n)
{
    char bytes[1 << 16];
    int got = BIO_read(SSL_get_wbio(self->client), bytes, n < (int)sizeof bytes ? n : (int)sizeof bytes);
    if (got > 0)
        needed(send(self->fds[1], bytes, (size_t)got, MSG_NOSIGNAL) == got);
    return got > 0 ? got : 0;
}

/* The handshake goes on with the client's bytes in pieces of `n`. */
static void test_handshake_in_pieces(tri_tls_context *context, SSL_CTX *client, int n)
{
    pair both;
    char text[8];
    pair_open(&both, context, client);
    hold_back(&both);
    CHECK(tri_tls_is_shaking(both.tls) && !tri_tls_has_pending(both.tls));
    int error = TRI_EAGAIN;
    for (int i = 0; i < 20000 && error == TRI_EAGAIN; i++) {
        (void)SSL_do_handshake(both.client);
        (void)send_on(&both, n);
        error = tri_tls_handshake(both.tls);
    }
    CHECK(error == 0 && !tri_tls_is_shaking(both.tls) && tri_tls_fault(both.tls) == NULL);
    (void)SSL_do_handshake(both.client);
    CHECK(SSL_is_init_finished(both.client));
    CHECK(SSL_write(both.client, "hello", 5) == 5 && send_on(&both, 1000) > 5);
    CHECK(tri_tls_read(both.tls, text, 8) == 5 && memcmp(text, "hello", 5) == 0);
    CHECK(tri_tls_read(both.tls, text, 8) == TRI_EAGAIN && !tri_tls_has_pending(both.tls));
    pair_close(&both);
}

/* Two records, cut at each byte: nothing is given early, lost or doubled, whatever the reader's room. */
static void test_records_cut_anywhere(tri_tls_context *context, SSL_CTX *client)
{
    pair both;
    pair_open(&both, context, client);
    CHECK(pair_shake(&both) == 0);
    hold_back(&both);
    int whole = 2;
    for (int cut = 1; cut < whole; cut++) {
        char text[16] = "";
        CHECK(SSL_write(both.client, "one", 3) == 3 && SSL_write(both.client, "twelve", 6) == 6);
        whole = (int)BIO_pending(SSL_get_wbio(both.client));
        CHECK(send_on(&both, cut) == cut);
        ptrdiff_t first = tri_tls_read(both.tls, text, sizeof text);
        CHECK(first == TRI_EAGAIN || first == 3);
        CHECK(!tri_tls_has_pending(both.tls));
        (void)send_on(&both, whole);
        size_t n = first > 0 ? (size_t)first : 0;
        ptrdiff_t more = tri_tls_read(both.tls, text + n, 5);
        CHECK(more > 0 && (n + (size_t)more == 9 || tri_tls_has_pending(both.tls)));
        n += more > 0 ? (size_t)more : 0;
        while (tri_tls_has_pending(both.tls) && (more = tri_tls_read(both.tls, text + n, 1)) > 0)
            n += (size_t)more;
        CHECK(n == 9 && memcmp(text, "onetwelve", 9) == 0);
    }
    CHECK(whole > 40);
    pair_close(&both);
}

/* What is left of the body behind the first `sent` bytes, in pieces of `size`; how many. */
static int pieces_of(struct iovec iov[64], size_t sent, size_t total, size_t size)
{
    int n = 0;
    for (size_t at = sent; at < total && n < 64; at += iov[n++].iov_len) {
        size_t to_next = size - at % size;
        iov[n].iov_base = (void *)(uintptr_t)(body() + at);
        iov[n].iov_len = to_next < total - at ? to_next : total - at;
    }
    return n;
}

/* The core writes the body in pieces of a size; a client reads as it comes, by a socket with little room. */
static void test_writing_in_pieces(tri_tls_context *context, SSL_CTX *client, size_t size)
{
    static char got[BODY];
    struct iovec iov[64];
    pair both;
    pair_open_small(&both, context, client, 4096);
    CHECK(tri_tls_writev(both.tls, iov, pieces_of(iov, 0, 1, 1)) == TRI_EAGAIN); /* not before the handshake */
    CHECK(pair_shake(&both) == 0);
    size_t sent = 0, come = 0;
    unsigned full = 0;
    while (come < sizeof got) {
        int n = pieces_of(iov, sent, sizeof got, size);
        ptrdiff_t put = n > 0 ? tri_tls_writev(both.tls, iov, n) : 0;
        full += put == TRI_EAGAIN;
        sent += put > 0 ? (size_t)put : 0;
        int read = client_reads(both.client, got + come, (int)(sizeof got - come));
        come += read > 0 ? (size_t)read : 0;
        if (put < 0 && put != TRI_EAGAIN)
            break;
    }
    CHECK(come == sizeof got && sent == sizeof got && (full > 0 || size < 100) && memcmp(got, body(), sizeof got) == 0);
    CHECK(!tri_tls_wants_write(both.tls)); /* which only reading is asked for */
    pair_close(&both);
}

/* The client has said that nothing more comes: what it said before is read, and it is still answered. */
static void test_end_of_the_peer(tri_tls_context *context, SSL_CTX *client)
{
    pair both;
    char text[16];
    struct iovec answer = { .iov_base = (void *)(uintptr_t) "answer", .iov_len = 6 };
    pair_open(&both, context, client);
    CHECK(pair_shake(&both) == 0);
    CHECK(SSL_write(both.client, "request", 7) == 7 && SSL_shutdown(both.client) == 0);
    CHECK(tri_tls_read(both.tls, text, 7) == 7 && tri_tls_has_pending(both.tls));
    CHECK(tri_tls_read(both.tls, text, 7) == 0 && tri_tls_read(both.tls, text, 7) == 0);
    CHECK(tri_tls_writev(both.tls, &answer, 1) == 6);
    CHECK(client_reads(both.client, text, 16) == 6 && memcmp(text, "answer", 6) == 0);
    CHECK(tri_tls_end(both.tls) == 0 && tri_tls_end(both.tls) == 0);
    CHECK(client_reads(both.client, text, 16) == -SSL_ERROR_ZERO_RETURN);
    pair_close(&both);
}

/* A peer that goes without a word of TLS has ended its side; one that goes in its handshake is gone. */
static void test_end_of_the_connection(tri_tls_context *context, SSL_CTX *client)
{
    pair both;
    char text[16];
    pair_open(&both, context, client);
    CHECK(tri_tls_end(both.tls) == 0); /* nothing is said before the handshake */
    CHECK(pair_shake(&both) == 0 && SSL_write(both.client, "half", 4) == 4);
    needed(shutdown(both.fds[1], SHUT_WR) == 0);
    CHECK(tri_tls_read(both.tls, text, 16) == 4 && tri_tls_read(both.tls, text, 16) == 0);
    pair_close(&both);
    pair_open(&both, context, client);
    (void)SSL_do_handshake(both.client);
    CHECK(tri_tls_handshake(both.tls) == TRI_EAGAIN);
    close(both.fds[1]);
    both.fds[1] = -1;
    CHECK(tri_tls_handshake(both.tls) == TRI_ECLOSED && tri_tls_fault(both.tls) == NULL);
    pair_close(&both);
}

/* Leaves a socket no room for a byte. */
static void fill(int fd)
{
    const char bytes[512] = { 0 };
    for (size_t n = sizeof bytes; n > 0; n /= 2)
        while (send(fd, bytes, n, MSG_NOSIGNAL) > 0)
            continue;
}

/* The word of our end waits for room, and is said once. */
static void test_our_end_when_the_socket_is_full(tri_tls_context *context, SSL_CTX *client)
{
    char filler[512] = { 0 };
    pair both;
    pair_open_small(&both, context, client, 4096);
    CHECK(pair_shake(&both) == 0 && client_reads(both.client, filler, 1) == -SSL_ERROR_WANT_READ);
    fill(both.fds[0]);
    CHECK(tri_tls_end(both.tls) == TRI_EAGAIN && tri_tls_end(both.tls) == TRI_EAGAIN);
    while (recv(both.fds[1], filler, sizeof filler, 0) > 0)
        continue;
    CHECK(tri_tls_end(both.tls) == 0 && tri_tls_end(both.tls) == 0);
    CHECK(client_reads(both.client, filler, 1) == -SSL_ERROR_ZERO_RETURN);
    CHECK(recv(both.fds[1], filler, 1, 0) < 0);
    pair_close(&both);
}

/* Gives the core raw bytes instead of a handshake; what it says of them. */
static int shakes_with(tri_tls_context *context, const char *bytes, size_t n, const char *fault)
{
    pair both;
    pair_open(&both, context, modern);
    needed(send(both.fds[1], bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
    int error = tri_tls_handshake(both.tls);
    const char *said = tri_tls_fault(both.tls);
    CHECK(fault == NULL ? said == NULL : said != NULL && strstr(said, fault) != NULL);
    CHECK(error == TRI_EAGAIN || tri_tls_handshake(both.tls) == error); /* it stays so */
    if (error == TRI_EPROTO) { /* the peer is told by one alert, a record of type 21 */
        char alert[14] = "";
        CHECK(recv(both.fds[1], alert, sizeof alert, 0) == 7 && alert[0] == 21 && alert[5] == 2);
    }
    pair_close(&both);
    return error;
}

static void test_what_is_no_handshake(tri_tls_context *context)
{
    static const char *const plain[] = { "G", "GET / HTTP/1.1\r\n\r\n", "DELETE /",
                                         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        CHECK(shakes_with(context, plain[i], strlen(plain[i]), NULL) == TRI_EINVAL);
    CHECK(shakes_with(context, "\0\1\2\3\4\5\6\7\10\11\12", 11, "no TLS") == TRI_EPROTO);
    CHECK(shakes_with(context, "\x16\3\1\0\5\1\0\0\1\0", 10, "the TLS handshake failed") == TRI_EPROTO);
    CHECK(shakes_with(context, "\x16\3\1\x40\0\1\0\x7f\xff", 9, NULL) == TRI_EAGAIN);
    CHECK(shakes_with(context, "\x16\3\1\x40\0\1\0\x80\0", 9, "first message is too long") == TRI_EPROTO);
    CHECK(shakes_with(context, "\x16\3\1\x40\0\1\1\0\0", 9, "first message is too long") == TRI_EPROTO);
    CHECK(shakes_with(context, "\x15\3\1\0\2\2\x28", 7, "the TLS handshake failed") == TRI_EPROTO);
}

/* The first message may come in records of a byte each, which get around no bound. */
static void test_first_message_in_pieces(tri_tls_context *context)
{
    static const char good[] = "\x16\3\1\0\1\1\x16\3\1\0\1\0\x16\3\1\0\1\x7f\x16\3\1\0\1\xff";
    static const char bad[] = "\x16\3\1\0\1\1\x16\3\1\0\0\x16\3\1\0\1\0\x16\3\1\0\1\x80\x16\3\1\0\1\0";
    static const char begins[] = "\x16\3\1\0\2\1\0\x16\3\1\x40\0\xff\xff";
    CHECK(shakes_with(context, good, sizeof good - 1, NULL) == TRI_EAGAIN);
    CHECK(shakes_with(context, bad, sizeof bad - 1, "first message is too long") == TRI_EPROTO);
    CHECK(shakes_with(context, begins, sizeof begins - 1, "first message is too long") == TRI_EPROTO);
}

/* A version that is too old is told so, and the log says it in words. */
static void test_client_without_anything_in_common(tri_tls_context *context)
{
    SSL_CTX *client = client_context();
    needed(SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION) && SSL_CTX_set_cipher_list(client, "AES128-SHA"));
    pair both;
    pair_open(&both, context, client);
    CHECK(pair_shake(&both) == TRI_EPROTO && strstr(tri_tls_fault(both.tls), "no cipher suite in common") != NULL);
    pair_close(&both);
    SSL_CTX_free(client);
}

/* Keys are agreed on in groups that are cheap: a client cannot choose one that costs us a hundred times as much. */
static void test_groups(tri_tls_context *context)
{
    static const char *const GOOD[] = { "X25519", "P-256", "P-384", "P-521" }, *const DEAR[] = { "ffdhe2048",
                                                                                                 "ffdhe8192" };
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD + sizeof DEAR / sizeof *DEAR; i++) {
        bool good = i < sizeof GOOD / sizeof *GOOD;
        SSL_CTX *client = client_context();
        needed(SSL_CTX_set1_groups_list(client, good ? GOOD[i] : DEAR[i - sizeof GOOD / sizeof *GOOD]));
        pair both;
        pair_open(&both, context, client);
        CHECK(pair_shake(&both) == (good ? 0 : TRI_EPROTO));
        CHECK(good || strstr(tri_tls_fault(both.tls), "no group in common") != NULL);
        pair_close(&both);
        SSL_CTX_free(client);
    }
}

/* A client that does not trust the certificate says so by an alert. */
static void test_client_that_gives_up(tri_tls_context *context)
{
    SSL_CTX *client = client_context();
    SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
    pair both;
    pair_open(&both, context, client);
    CHECK(pair_shake(&both) == TRI_EPROTO && strstr(tri_tls_fault(both.tls), "certificate") != NULL);
    pair_close(&both);
    SSL_CTX_free(client);
}

/* Updates of keys cost us work and the peer nothing: a few are followed, and more after each MiB. */
static void test_updates_of_keys(tri_tls_context *context)
{
    static char room[1 << 16];
    pair both;
    int error = 0, updates = 0;
    pair_open(&both, context, modern);
    CHECK(pair_shake(&both) == 0);
    for (size_t sent = 0; sent < (1 << 20); sent += 16384) {
        CHECK(sent > 4 * 16384 || SSL_key_update(both.client, SSL_KEY_UPDATE_REQUESTED));
        CHECK(SSL_write(both.client, body(), 16384) == 16384);
        CHECK(tri_tls_read(both.tls, room, sizeof room) == 16384);
        (void)client_reads(both.client, room, 1);
    }
    for (; updates < 200 && error == 0; updates++) {
        needed(SSL_key_update(both.client, SSL_KEY_UPDATE_NOT_REQUESTED) && SSL_do_handshake(both.client));
        ptrdiff_t got = tri_tls_read(both.tls, room, sizeof room);
        error = got == TRI_EAGAIN ? 0 : (int)got;
    }
    CHECK(error == TRI_EPROTO && updates > 30 && updates < 100);
    CHECK(strstr(tri_tls_fault(both.tls), "again and again") != NULL);
    CHECK(tri_tls_read(both.tls, room, 1) == TRI_EPROTO && tri_tls_has_pending(both.tls));
    CHECK(tri_tls_end(both.tls) == 0);
    pair_close(&both);
}

/* The answer to an update of keys goes before what is written next, and waits for room as that does. */
static void test_update_of_keys_when_the_socket_is_full(tri_tls_context *context)
{
    char filler[512] = { 0 };
    pair both;
    pair_open_small(&both, context, modern, 4096);
    CHECK(pair_shake(&both) == 0 && client_reads(both.client, filler, 1) == -SSL_ERROR_WANT_READ);
    fill(both.fds[0]);
    needed(SSL_key_update(both.client, SSL_KEY_UPDATE_REQUESTED) && SSL_write(both.client, "after", 5) == 5);
    CHECK(tri_tls_read(both.tls, filler, 10) == 5 && !tri_tls_wants_write(both.tls));
    struct iovec iov = { .iov_base = (void *)(uintptr_t) "new keys", .iov_len = 8 };
    CHECK(tri_tls_writev(both.tls, &iov, 1) == TRI_EAGAIN && !tri_tls_is_shaking(both.tls));
    while (recv(both.fds[1], filler, sizeof filler, 0) > 0)
        continue;
    CHECK(tri_tls_writev(both.tls, &iov, 1) == 8 && client_reads(both.client, filler, 10) == 8);
    pair_close(&both);
}

/* A client of TLS 1.2 may not negotiate anew, and is told so. */
static void test_negotiating_anew(tri_tls_context *context)
{
    char room[64];
    pair both;
    pair_open(&both, context, older);
    CHECK(pair_shake(&both) == 0);
    needed(SSL_renegotiate(both.client));
    (void)SSL_do_handshake(both.client);
    CHECK(tri_tls_read(both.tls, room, sizeof room) == TRI_EAGAIN);
    CHECK(client_reads(both.client, room, sizeof room) == -SSL_ERROR_SSL);
    CHECK(ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_NO_RENEGOTIATION);
    pair_close(&both);
}

/* What was read from the descriptor before, as a PROXY header may bring it along, comes first. */
static void test_bytes_read_before(tri_tls_context *context, SSL_CTX *client)
{
    for (int first = 1; first < 80; first += 26) {
        char bytes[1 << 12];
        pair both;
        pair_open(&both, context, client);
        (void)SSL_do_handshake(both.client);
        ssize_t n = recv(both.fds[0], bytes, (size_t)first, 0);
        needed(n == first);
        CHECK(tri_tls_feed(both.tls, (tri_span){ bytes, (size_t)n }) == 0);
        CHECK(pair_shake(&both) == 0);
        pair_close(&both);
    }
}

int main(void)
{
    check_mem_init(&memory);
    identity server = identity_of(common_name("localhost"), NULL);
    tri_tls_context *context = context_of(&server, &memory.mem);
    modern = client_context();
    older = client_context();
    needed(SSL_CTX_set_max_proto_version(older, TLS1_2_VERSION));
    SSL_CTX *const clients[] = { modern, older };
    const int pieces[] = { 1, 2, 3, 5, 6, 50, 1000 };
    const size_t sizes[] = { 37, 1000, 5000, 16384, 40000, BODY };
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof pieces / sizeof *pieces; j++)
            test_handshake_in_pieces(context, clients[i], pieces[j]);
        test_records_cut_anywhere(context, clients[i]);
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
            test_writing_in_pieces(context, clients[i], sizes[j]);
        test_end_of_the_peer(context, clients[i]);
        test_end_of_the_connection(context, clients[i]);
        test_our_end_when_the_socket_is_full(context, clients[i]);
        test_bytes_read_before(context, clients[i]);
    }
    test_what_is_no_handshake(context);
    test_first_message_in_pieces(context);
    test_groups(context);
    test_client_without_anything_in_common(context);
    test_client_that_gives_up(context);
    test_updates_of_keys(context);
    test_update_of_keys_when_the_socket_is_full(context);
    test_negotiating_anew(context);
    SSL_CTX_free(modern);
    SSL_CTX_free(older);
    tri_tls_context_unref(context);
    identity_free(&server);
    CHECK(memory.blocks_out == 0 && memory.bytes_out == 0);
    return check_report();
}
