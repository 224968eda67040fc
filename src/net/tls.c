/* One connection's TLS: what OpenSSL makes of the calls, in the core's terms. */
#include "net/tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/proverr.h>
#include <string.h>

#include "net/socket.h"
#include "net/tls_context.h"
#include "net/tls_reason.h"

enum {
    HEADER = 5,         /* bytes of a record's (RFC 8446 §5.1) */
    RECORD = 16384,     /* bytes of a record at most */
    HELLO = 32768,      /* bytes of a client's first message, which OpenSSL makes room for as soon as it is announced */
    HANDSHAKE = 131072, /* bytes that a client may send until its handshake is complete */
    CERTIFICATES = 65536,  /* of which its certificates */
    NOISE = 100,           /* steps on messages and alerts that carry no data, of about three each ... */
    NOISE_BYTES = 1048576, /* ... in so many bytes of data */
};

struct tri_tls {
    SSL *ssl;
    tri_tls_context *context;
    tri_tls_facts *facts; /* NULL until somebody asks */
    tri_buf fed;          /* bytes that were read from the descriptor before TLS began */
    const char *reason;   /* why the handshake, or what came later, has failed */
    int fd;
    int error;        /* of the last call on the descriptor, 0 for none */
    int failed;       /* what every further call returns, 0 as long as there is nothing wrong */
    uint32_t came;    /* bytes of the handshake from the peer; then of data since `noise` was 0 */
    uint32_t noise;   /* steps since the handshake on what carries no data */
    uint16_t left;    /* bytes of the peer's record that are still to come, of those before its handshake began */
    uint8_t header_n; /* bytes of that record's header */
    uint8_t hello_n;  /* bytes of the peer's first message, as far as its length is looked at */
    bool established; /* the handshake is complete */
    bool at_end;      /* the descriptor has no more bytes */
    bool dry;         /* the descriptor has given less than was asked for: it has no more now */
    bool full;        /* the last read ended as its buffer was full */
    bool hello;       /* the peer has begun with a record of TLS */
    bool plain;       /* the peer speaks without TLS */
    bool ended;       /* the peer has said that nothing more comes */
    bool closed;      /* we have said so */
    bool wants_write; /* the handshake or the last read waits for room */
    bool spoke;       /* something was written */
};

/* Takes a byte of the client's first message; whether it announces one that is too long: three bytes behind that of its
   type are its length (RFC 8446 §4). */
static bool announces_too_much(tri_tls *tls, unsigned char byte)
{
    tls->hello_n++;
    return (tls->hello_n == 2 && byte > 0) || (tls->hello_n == 3 && byte >= HELLO >> 8);
}

/* Follows the records that the client's first message comes in, which may have a byte of it each; whether it is too
   long. */
static bool is_too_long(tri_tls *tls, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && tls->hello_n < 4; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (tls->header_n < HEADER) {
            tls->header_n++;
            tls->left = (uint16_t)(tls->left << 8 | byte); /* the last two are its length */
        } else {
            tls->left--;
            if (announces_too_much(tls, byte))
                return true;
        }
        if (tls->header_n == HEADER && tls->left == 0)
            tls->header_n = 0; /* another begins; OpenSSL judges those without a byte */
    }
    return false;
}

/* Looks at `n` bytes of a handshake before OpenSSL does; an error when they are not to be given to it. */
static int inspect(tri_tls *tls, const char *bytes, size_t n)
{
    if (tls->came == 0) {
        tls->plain = bytes[0] >= 'A' && bytes[0] <= 'Z'; /* a method */
        tls->hello = bytes[0] == 22;                     /* a record of a handshake */
    }
    if (tls->hello && is_too_long(tls, bytes, n))
        tls->reason = "the TLS handshake failed: the client's first message is too long";
    tls->came += (uint32_t)n;
    if (tls->came > HANDSHAKE)
        tls->reason = "the TLS handshake failed: it is too long";
    return tls->plain || tls->reason != NULL ? TRI_EPROTO : 0;
}

/* Bytes from the descriptor, or those that were read before, as tri_socket_read gives them. What came short the last
   time is not asked again: more is told of by the reactor. */
static ptrdiff_t receive(tri_tls *tls, char *bytes, size_t n)
{
    size_t kept = tri_buf_len(&tls->fed);
    if (kept > 0) {
        n = n < kept ? n : kept;
        memcpy(bytes, tri_buf_data(&tls->fed), n);
        tri_buf_consume(&tls->fed, n);
        if (n == kept)
            tri_buf_release(&tls->fed, tls->context->mem);
        return (ptrdiff_t)n;
    }
    if (tls->dry)
        return TRI_EAGAIN;
    ptrdiff_t got = tri_socket_read(tls->fd, bytes, n);
    tls->dry = got > 0 && (size_t)got < n;
    tls->at_end = got == 0;
    return got;
}

/* Gives OpenSSL what it asks for, unless the peer has sent too much that is of no use. */
static int bio_read(BIO *bio, char *bytes, size_t n, size_t *done)
{
    tri_tls *tls = BIO_get_data(bio);
    ptrdiff_t got = tls->noise > NOISE ? TRI_EPROTO : receive(tls, bytes, n);
    if (got > 0 && !tls->established && inspect(tls, bytes, (size_t)got) != 0)
        got = TRI_EPROTO;
    BIO_clear_retry_flags(bio);
    *done = got > 0 ? (size_t)got : 0;
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
    tls->spoke = tls->spoke || put > 0;
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

/* Counts what a peer sends behind the handshake that is no data, such as updates of keys and attempts to negotiate
   anew: each makes work, and OpenSSL goes on with them for as long as more come. */
static void observe(const SSL *ssl, int where, int value)
{
    tri_tls *tls = BIO_get_data(SSL_get_rbio(ssl));
    (void)value;
    if (tls->established && (where & (SSL_CB_LOOP | SSL_CB_ALERT)))
        tls->noise++;
}

/* Gives the connection's SSL the descriptor, and its bounds. */
static bool attach(tri_tls *tls)
{
    BIO *bio = BIO_new(tls->context->method);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio); /* owns it */
    SSL_set_accept_state(tls->ssl);
    SSL_set_read_ahead(tls->ssl, 1); /* a record in one call instead of two */
    SSL_set_max_cert_list(tls->ssl, CERTIFICATES);
    SSL_set_info_callback(tls->ssl, observe);
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
    tri_buf_release(&tls->fed, context->mem);
    tri_mem_free(context->mem, tls, sizeof *tls);
    tri_tls_context_unref(context);
}

int tri_tls_feed(tri_tls *tls, tri_span bytes)
{
    return tri_buf_append(&tls->fed, tls->context->mem, bytes, HANDSHAKE);
}

/* Whether an error of OpenSSL's is none of the peer's making: memory was short, of which not all parts of a handshake
   say so. */
static bool is_ours(unsigned long error, bool established)
{
    int reason = ERR_GET_REASON(error), library = ERR_GET_LIB(error);
    if (established || reason == ERR_R_MALLOC_FAILURE)
        return reason == ERR_R_MALLOC_FAILURE;
    if (library == ERR_LIB_EVP)
        return reason == EVP_R_INITIALIZATION_ERROR || reason == EVP_R_NOT_ABLE_TO_COPY_CTX;
    return reason == ERR_R_INTERNAL_ERROR || library == ERR_LIB_RAND;
}

/* Whether an error of OpenSSL's tells that a record is too short for its cipher, which it follows by an internal error
   as if it was its own. */
static bool is_short_record(unsigned long error)
{
    return ERR_GET_LIB(error) == ERR_LIB_PROV && ERR_GET_REASON(error) == PROV_R_INVALID_AAD;
}

/* Empties OpenSSL's queue of errors, of which the first says what was wrong; whether it ran out of memory. */
static bool take_errors(tri_tls *tls)
{
    bool out_of_memory = false, short_record = false;
    unsigned long error;
    while ((error = ERR_get_error()) != 0) {
        if (tls->reason == NULL && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
            tls->reason = tri_tls_reason_distrust(SSL_get_verify_result(tls->ssl));
        else if (tls->reason == NULL)
            tls->reason = tri_tls_reason(error, tls->established);
        out_of_memory = out_of_memory || is_ours(error, tls->established);
        short_record = short_record || is_short_record(error);
    }
    return out_of_memory && !short_record;
}

/* What a call that cannot go on is to return from now on. */
static int verdict(const tri_tls *tls, bool out_of_memory)
{
    if (tls->plain)
        return TRI_EINVAL;
    if (out_of_memory)
        return TRI_ENOMEM;
    if (tls->error != 0)
        return tls->error;
    return tls->at_end ? TRI_ECLOSED : TRI_EPROTO;
}

/* What a failed call means. Errors that are none of waiting are kept: OpenSSL must not be called again then. */
static int failure(tri_tls *tls, int result, bool reading)
{
    int kind = SSL_get_error(tls->ssl, result);
    if (reading)
        tls->wants_write = kind == SSL_ERROR_WANT_WRITE;
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
        return TRI_EAGAIN;
    if (kind == SSL_ERROR_ZERO_RETURN) {
        tls->ended = true;
        return 0;
    }
    if (tls->noise > NOISE)
        tls->reason = "TLS was given messages without data again and again";
    tls->failed = verdict(tls, take_errors(tls));
    return tls->failed;
}

bool tri_tls_is_shaking(const tri_tls *tls)
{
    return !tls->established;
}

/* Tells a peer what it did wrong where OpenSSL does not, as it was not asked or knows no version to say it in: an
   alert, protocol_version to one that has not begun with TLS, or decode_error. */
static void object(const tri_tls *tls)
{
    const char alert[] = { 21, 3, 1, 0, 2, 2, tls->hello ? 50 : 70 };
    const struct iovec iov = { .iov_base = (void *)(uintptr_t)alert, .iov_len = sizeof alert };
    ptrdiff_t ignored = tri_socket_writev(tls->fd, &iov, 1);
    (void)ignored;
}

int tri_tls_handshake(tri_tls *tls)
{
    if (tls->failed != 0)
        return tls->failed;
    ERR_clear_error();
    tls->dry = false;
    tls->wants_write = false;
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1) {
        tls->established = true;
        tls->full = true; /* data may have come with the last of it */
        tls->came = 0;
        return 0;
    }
    int error = failure(tls, result, true);
    if (error == TRI_EPROTO && !tls->spoke)
        object(tls);
    return error == 0 ? TRI_ECLOSED : error;
}

const char *tri_tls_fault(const tri_tls *tls)
{
    return tls->failed == TRI_EPROTO ? tls->reason : NULL;
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
    return tls->ended || tls->failed != 0 || tls->full;
}

/* Notes that data has come, which allows for further messages without. */
static void note_data(tri_tls *tls, size_t n)
{
    tls->came += (uint32_t)n;
    if (tls->came < NOISE_BYTES)
        return;
    tls->came = 0;
    tls->noise = 0;
}

ptrdiff_t tri_tls_read(tri_tls *tls, void *bytes, size_t n)
{
    size_t done = 0;
    tls->dry = false;
    tls->wants_write = false;
    while (done < n && !tls->ended && tls->failed == 0) {
        size_t got = 0;
        ERR_clear_error();
        int result = SSL_read_ex(tls->ssl, (char *)bytes + done, n - done, &got);
        done += got;
        if (result != 1 && failure(tls, result, true) == TRI_EAGAIN)
            break;
    }
    tls->full = done == n;
    note_data(tls, done);
    if (done > 0)
        return (ptrdiff_t)done;
    return tls->ended || tls->failed != 0 ? tls->failed : TRI_EAGAIN;
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

int tri_tls_end(tri_tls *tls)
{
    if (tls->closed || tls->failed != 0 || tri_tls_is_shaking(tls))
        return 0;
    ERR_clear_error();
    int result = SSL_shutdown(tls->ssl);
    if (result <= 0 && SSL_want_write(tls->ssl))
        return TRI_EAGAIN; /* at the second try OpenSSL returns what else says that it has gone */
    tls->closed = true;
    ERR_clear_error();
    return 0;
}
