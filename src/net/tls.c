/* One connection's TLS: what OpenSSL makes of the calls, in the core's terms. */
#include "net/tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <string.h>

#include "net/socket.h"
#include "net/tls_context.h"

enum { RECORD = 16384 }; /* bytes of a record at most (RFC 8446 §5.1) */

struct tri_tls {
    SSL *ssl;
    tri_tls_context *context;
    tri_tls_facts *facts; /* NULL until somebody asks */
    int fd;
    int error;        /* of the last call on the descriptor, 0 for none */
    int failed;       /* what every further call returns, 0 as long as there is nothing wrong */
    bool at_end;      /* the descriptor has no more bytes */
    bool ended;       /* the peer has said that nothing more comes */
    bool closed;      /* we have said so */
    bool wants_write; /* the handshake or the last read waits for room */
};

/* Reads what OpenSSL asks for from the descriptor. */
static int bio_read(BIO *bio, char *bytes, size_t n, size_t *done)
{
    tri_tls *tls = BIO_get_data(bio);
    ptrdiff_t got = tri_socket_read(tls->fd, bytes, n);
    BIO_clear_retry_flags(bio);
    *done = got > 0 ? (size_t)got : 0;
    tls->at_end = got == 0;
    tls->error = got < 0 && got != TRI_EAGAIN ? (int)got : 0;
    if (got == TRI_EAGAIN)
        BIO_set_retry_read(bio);
    return got > 0;
}

/* Writes a piece of a record. */
static int bio_write(BIO *bio, const char *bytes, size_t n, size_t *done)
{
    tri_tls *tls = BIO_get_data(bio);
    const struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };
    ptrdiff_t put = tri_socket_writev(tls->fd, &iov, 1);
    BIO_clear_retry_flags(bio);
    *done = put > 0 ? (size_t)put : 0;
    tls->error = put < 0 && put != TRI_EAGAIN ? (int)put : 0;
    if (put == TRI_EAGAIN)
        BIO_set_retry_write(bio);
    return put > 0;
}

/* Answers OpenSSL's questions about the descriptor: nothing is buffered here. */
static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    const tri_tls *tls = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return tls->at_end;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tri_tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tricorn");
    if (method == NULL)
        return NULL;
    if (BIO_meth_set_read_ex(method, bio_read) && BIO_meth_set_write_ex(method, bio_write)
        && BIO_meth_set_ctrl(method, bio_control))
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* Gives the connection's SSL the descriptor. */
static bool attach(tri_tls *tls)
{
    BIO *bio = BIO_new(tls->context->method);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio); /* owns it */
    SSL_set_accept_state(tls->ssl);
    return true;
}

int tri_tls_new(tri_tls **out, tri_tls_context *context, int fd)
{
    tri_tls *tls = tri_mem_zalloc(context->mem, sizeof *tls);
    if (tls == NULL)
        return TRI_ENOMEM;
    context->refs++;
    tls->context = context;
    tls->fd = fd;
    ERR_clear_error();
    tls->ssl = SSL_new(context->ctx);
    if (tls->ssl == NULL || !attach(tls)) {
        tri_tls_free(tls);
        return TRI_ENOMEM;
    }
    *out = tls;
    return 0;
}

void tri_tls_free(tri_tls *tls)
{
    tri_tls_context *context = tls->context;
    if (tls->facts != NULL)
        tri_tls_facts_unref(tls->facts);
    SSL_free(tls->ssl);
    ERR_clear_error();
    tri_mem_free(context->mem, tls, sizeof *tls);
    tri_tls_context_unref(context);
}

/* What a failed call means. Errors that are none of waiting are kept: OpenSSL must not be called again then. */
static int failure(tri_tls *tls, int result, bool reading)
{
    int kind = SSL_get_error(tls->ssl, result);
    bool plain = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
    ERR_clear_error();
    if (reading)
        tls->wants_write = kind == SSL_ERROR_WANT_WRITE;
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
        return TRI_EAGAIN;
    if (kind == SSL_ERROR_ZERO_RETURN) {
        tls->ended = true;
        return 0;
    }
    tls->failed = TRI_EPROTO;
    if (tls->error != 0)
        tls->failed = tls->error;
    else if (plain)
        tls->failed = TRI_EINVAL;
    else if (tls->at_end)
        tls->failed = TRI_ECLOSED;
    return tls->failed;
}

bool tri_tls_is_shaking(const tri_tls *tls)
{
    return !SSL_is_init_finished(tls->ssl);
}

int tri_tls_handshake(tri_tls *tls)
{
    if (tls->failed != 0)
        return tls->failed;
    ERR_clear_error();
    tls->wants_write = false;
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1)
        return 0;
    int error = failure(tls, result, true);
    return error == 0 ? TRI_ECLOSED : error;
}

unsigned tri_tls_protocol(const tri_tls *tls)
{
    const unsigned char *name = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(tls->ssl, &name, &n);
    return tri_tls_alpn_number(name, n);
}

int tri_tls_facts_of(tri_tls *tls, tri_tls_facts **out)
{
    int error = tls->facts != NULL ? 0 : tri_tls_facts_new(&tls->facts, tls->context->mem, tls->ssl);
    if (error == 0)
        *out = tri_tls_facts_ref(tls->facts);
    return error;
}

bool tri_tls_wants_write(const tri_tls *tls)
{
    return tls->wants_write;
}

bool tri_tls_has_pending(const tri_tls *tls)
{
    return tls->ended || tls->failed != 0 || SSL_pending(tls->ssl) > 0;
}

ptrdiff_t tri_tls_read(tri_tls *tls, void *bytes, size_t n)
{
    size_t done = 0;
    while (done < n && !tls->ended && tls->failed == 0) {
        size_t got = 0;
        ERR_clear_error();
        tls->wants_write = false;
        int result = SSL_read_ex(tls->ssl, (char *)bytes + done, n - done, &got);
        done += got;
        if (result != 1 && failure(tls, result, true) == TRI_EAGAIN)
            return done > 0 ? (ptrdiff_t)done : TRI_EAGAIN;
    }
    if (done > 0)
        return (ptrdiff_t)done;
    return tls->failed;
}

/* Where a gathering of pieces has got to. */
typedef struct cursor {
    const struct iovec *iov;
    int left;
    size_t at; /* bytes of the first that are done */
} cursor;

/* Moves on by `n` bytes. */
static void advance(cursor *from, size_t n)
{
    while (from->left > 0 && n >= from->iov->iov_len - from->at) {
        n -= from->iov->iov_len - from->at;
        from->iov++;
        from->left--;
        from->at = 0;
    }
    from->at += n;
}

/* The bytes of the next record: where they are when they are together, else copied into `room`. */
static tri_span next_record(const cursor *from, char *room)
{
    tri_span first = { (const char *)from->iov->iov_base + from->at, from->iov->iov_len - from->at };
    if (first.n >= RECORD || from->left == 1)
        return (tri_span){ first.p, first.n < RECORD ? first.n : RECORD };
    size_t n = 0, at = from->at;
    for (int i = 0; i < from->left && n < RECORD; i++) {
        size_t piece = from->iov[i].iov_len - at;
        piece = piece < RECORD - n ? piece : RECORD - n;
        memcpy(room + n, (const char *)from->iov[i].iov_base + at, piece);
        n += piece;
        at = 0;
    }
    return (tri_span){ room, n };
}

ptrdiff_t tri_tls_writev(tri_tls *tls, const struct iovec *iov, int n)
{
    char room[RECORD];
    cursor from = { .iov = iov, .left = n };
    size_t done = 0;
    int error = tls->failed;
    if (error == 0 && tri_tls_is_shaking(tls))
        return TRI_EAGAIN;
    while (error == 0 && from.left > 0) {
        size_t put = 0;
        tri_span record = next_record(&from, room);
        ERR_clear_error();
        int result = SSL_write_ex(tls->ssl, record.p, record.n, &put);
        if (result != 1) {
            error = failure(tls, result, false);
            error = error == 0 ? TRI_ECLOSED : error;
        }
        done += put;
        advance(&from, put);
    }
    return done > 0 ? (ptrdiff_t)done : error;
}

void tri_tls_end(tri_tls *tls)
{
    if (tls->closed || tls->failed != 0 || tri_tls_is_shaking(tls))
        return;
    tls->closed = true;
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl); /* a full socket loses the alert: every answer says itself where it ends */
    ERR_clear_error();
}
