/* A certificate that signs itself, to try HTTPS with. */
#ifndef TRI_NET_TLS_DEV_H
#define TRI_NET_TLS_DEV_H

#include "base/buf.h"

enum { TRI_TLS_DEV_MOST = 1 << 16 }; /* bytes of each text at most */

/* What it is for. */
typedef struct tri_tls_dev_plan {
    const char *subject; /* the name that is shown, 64 bytes at most */
    const char *hosts;   /* as in DNS:localhost,IP:127.0.0.1 */
    unsigned days;       /* that it is good for */
} tri_tls_dev_plan;

/* Makes a key (ECDSA, P-256) and its certificate, both as PEM, appended to buffers which the caller releases.
   TRI_ENOMEM; TRI_EINVAL when the hosts or the subject cannot be in a certificate, or this build does not speak TLS. */
TRI_NODISCARD int tri_tls_dev_make(const tri_mem *mem, const tri_tls_dev_plan *what, tri_buf *certificate,
                                   tri_buf *key);

#endif
