/* Which protocol is spoken over TLS: client and server agree on it during the handshake (RFC 7301). */
#include <string.h>

#include "net/tls_context.h"

/* The protocols that we know, those that we prefer first. */
static const struct {
    unsigned number;
    unsigned char n;
    char name[9];
} KNOWN[] = {
    { TRI_TLS_HTTP2, 2, "h2" },
    { TRI_TLS_HTTP1, 8, "http/1.1" },
    { TRI_TLS_HTTP1, 8, "http/1.0" },
};
enum { KNOWN_N = sizeof KNOWN / sizeof *KNOWN };

/* Takes the first protocol of ours that the client names; one that names only others is refused (RFC 7301 §3.2). */
static int choose(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *offered,
                  unsigned offered_n, void *user)
{
    const tri_tls_context *context = user;
    unsigned char *chosen = NULL;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, n, context->alpn, context->alpn_n, offered, offered_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

void tri_tls_alpn_offer(tri_tls_context *context, unsigned protocols)
{
    context->alpn_n = 0;
    for (unsigned i = 0; i < KNOWN_N; i++) {
        if (!(protocols & KNOWN[i].number) || context->alpn_n + 1 + KNOWN[i].n > TRI_TLS_ALPN)
            continue;
        context->alpn[context->alpn_n] = KNOWN[i].n;
        memcpy(context->alpn + context->alpn_n + 1, KNOWN[i].name, KNOWN[i].n);
        context->alpn_n += 1U + KNOWN[i].n;
    }
    if (context->alpn_n > 0)
        SSL_CTX_set_alpn_select_cb(context->ctx, choose, context);
}

unsigned tri_tls_alpn_number(const unsigned char *name, size_t n)
{
    for (unsigned i = 0; i < KNOWN_N; i++) {
        if (n == KNOWN[i].n && memcmp(name, KNOWN[i].name, n) == 0)
            return KNOWN[i].number;
    }
    return 0;
}
