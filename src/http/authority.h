/* What names a host, with or without a port: uri-host [":" port] (RFC 9110 §7.2). */
#ifndef TRI_HTTP_AUTHORITY_H
#define TRI_HTTP_AUTHORITY_H

#include "base/span.h"

/* Whether it is that, and not empty. */
bool tri_authority_ok(const char *p, size_t n);
/* Whether one that is well-formed has the colon of a port. */
bool tri_authority_has_port(tri_span authority);

#endif
