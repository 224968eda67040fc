/* What proxies say of a request in its fields: X-Forwarded-… and Forwarded (RFC 7239). Without I/O; whether the peer is
   one whose fields are believed is the caller's to ask. */
#ifndef TRI_SERVER_FORWARDED_H
#define TRI_SERVER_FORWARDED_H

#include "http/head.h"
#include "server/trust.h"

enum tri_forwarded_field {
    TRI_FORWARDED_FOR = 1,
    TRI_FORWARDED_PROTO = 2,
    TRI_FORWARDED_HOST = 4,
    TRI_FORWARDED_PORT = 8,
    TRI_FORWARDED_PREFIX = 16,
    TRI_FORWARDED_STANDARD = 32, /* Forwarded */
};

/* Elements of a list, from the right, that are looked at; no request passes so many proxies. */
enum { TRI_FORWARDED_MOST = 64 };

typedef struct tri_forwarded_rules {
    const tri_trust *trust;
    uint32_t fields; /* enum tri_forwarded_field, or-ed: what is believed; 0 for nothing */
    uint32_t hops;   /* the client is the element so far from the right; 0: the right-most that is no proxy's */
} tri_forwarded_rules;

enum tri_forwarded_scheme { TRI_FORWARDED_SAME, TRI_FORWARDED_PLAIN, TRI_FORWARDED_SECURE };

/* What they change, but for the client; slices are of the head's bytes. All 0: nothing. */
typedef struct tri_forwarded {
    tri_slice host;   /* in place of the request's own, n == 0: as it is */
    tri_slice prefix; /* path below which the proxy has mounted the server: begins with a slash and does not end with
                         one; n == 0 for none */
    uint16_t port;    /* to be put behind the host, 0 for none */
    uint8_t scheme;   /* enum tri_forwarded_scheme */
} tri_forwarded;

/* Whether it changes anything. */
static inline bool tri_forwarded_any(const tri_forwarded *self)
{
    return self->scheme != TRI_FORWARDED_SAME || self->port != 0 || self->host.n != 0 || self->prefix.n != 0;
}

/* Reads the fields of a request from a proxy at `client` into `out`, which is zeroed, and replaces `client` by the
   address that they give. What is malformed changes nothing. When there is an X-Forwarded-… field that is believed,
   Forwarded is not looked at: a proxy that sets the one kind may let the other pass as the client has sent it. */
void tri_forwarded_read(const tri_head *head, const tri_forwarded_rules *rules, tri_addr *client, tri_forwarded *out);

#endif
