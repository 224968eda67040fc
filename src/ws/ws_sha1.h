/* SHA-1 (RFC 3174) of a short text: all that the opening handshake needs of it. */
#ifndef TRI_WS_WS_SHA1_H
#define TRI_WS_WS_SHA1_H

#include "base/span.h"

enum { TRI_WS_SHA1_SIZE = 20, TRI_WS_SHA1_MOST = 119 };

/* The digest of `text`, which has at most TRI_WS_SHA1_MOST bytes. */
void tri_ws_sha1_digest(tri_span text, unsigned char digest[TRI_WS_SHA1_SIZE]);

#endif
