/* The header of the PROXY protocol, version 1 or 2, by which a proxy that forwards bytes says whose they are (haproxy's
   doc/proxy-protocol.txt). Without I/O. */
#ifndef TRI_SERVER_PROXY_PROTOCOL_H
#define TRI_SERVER_PROXY_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/addr.h"

enum {
    TRI_PROXY_PROTOCOL_V1 = 107,     /* bytes of the longest header of version 1 */
    TRI_PROXY_PROTOCOL_MOST = 232,   /* and of version 2 with the longest addresses */
    TRI_PROXY_PROTOCOL_EXTRA = 4096, /* bytes behind the fixed part of version 2: addresses and what follows them */
};

enum tri_proxy_protocol_kind {
    TRI_PROXY_PROTOCOL_LOCAL,   /* the proxy speaks for itself, to see whether we live */
    TRI_PROXY_PROTOCOL_UNKNOWN, /* somebody whose address it cannot tell */
    TRI_PROXY_PROTOCOL_KNOWN,
};

typedef struct tri_proxy_protocol {
    enum tri_proxy_protocol_kind kind;
    tri_addr client; /* KNOWN: who has connected, and to where */
    tri_addr local;
    uint32_t skip; /* bytes behind those that were taken that belong to the header, too, and say nothing of use */
} tri_proxy_protocol;

/* Reads a header from the first bytes of a connection. Returns how many it takes, at most TRI_PROXY_PROTOCOL_MOST;
   TRI_EAGAIN when they are not enough yet, which is never so of TRI_PROXY_PROTOCOL_MOST bytes; TRI_EINVAL when they are
   no header. */
TRI_NODISCARD ptrdiff_t tri_proxy_protocol_read(const char *bytes, size_t n, tri_proxy_protocol *out);

#endif
