#include "load_tls.h"

#include <errno.h>
#include <openssl/err.h>

#include "load_base.h"

/* The settings of all connections, made at the first: no certificate is checked and no session is kept. */
static SSL_CTX *context(void)
{
    static SSL_CTX *made;
    if (made)
        return made;
    made = SSL_CTX_new(TLS_client_method());
    if (!made || !SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION))
        die("OpenSSL cannot be used");
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(made, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    return made;
}

SSL *tls_open(int fd)
{
    SSL *tls = SSL_new(context());
    if (!tls || !SSL_set_fd(tls, fd))
        die("out of memory");
    SSL_set_connect_state(tls);
    return tls;
}

/* What a call has given, as recv and send would say it. */
static ssize_t outcome(SSL *tls, int done)
{
    if (done > 0)
        return done;
    switch (SSL_get_error(tls, done)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        die("TLS: %s", ERR_reason_error_string(ERR_peek_error()));
    }
}

ssize_t tls_read(SSL *tls, void *bytes, size_t n)
{
    return outcome(tls, SSL_read(tls, bytes, (int)n));
}

ssize_t tls_write(SSL *tls, const void *bytes, size_t n)
{
    return outcome(tls, SSL_write(tls, bytes, (int)n));
}
