/* What is known of a connection's TLS once its handshake is complete: versions, certificates, names. It outlives the
   connection, is made when it is first asked for, and is counted. */
#ifndef TRI_NET_TLS_FACTS_H
#define TRI_NET_TLS_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "net/tls.h"

enum {
    TRI_TLS_CHAIN = 16,         /* certificates of a client that are told, its own included */
    TRI_TLS_TEXT = 1024 * 1024, /* bytes of a certificate's text, or a name's, at most */
};

typedef struct tri_tls_facts tri_tls_facts;

/* The facts of a connection, of which the caller gets a reference. TRI_ENOMEM. */
TRI_NODISCARD int tri_tls_facts_of(tri_tls *tls, tri_tls_facts **out);
tri_tls_facts *tri_tls_facts_ref(tri_tls_facts *facts);
void tri_tls_facts_unref(tri_tls_facts *facts);
/* The version as the protocol numbers it (0x0304 for TLS 1.3), and the cipher suite (IANA's number). */
unsigned tri_tls_facts_version(const tri_tls_facts *facts);
unsigned tri_tls_facts_cipher(const tri_tls_facts *facts);
/* How many certificates the client has sent, TRI_TLS_CHAIN at most. A ticket holds the first alone: sessions with more
   are not resumed. */
unsigned tri_tls_facts_certificates(const tri_tls_facts *facts);
/* Appends a certificate of the client's as PEM, 0 being its own; or the server's. TRI_ENOMEM, TRI_ELIMIT. */
TRI_NODISCARD int tri_tls_facts_client(const tri_tls_facts *facts, unsigned which, tri_buf *out);
TRI_NODISCARD int tri_tls_facts_server(const tri_tls_facts *facts, tri_buf *out);
/* Appends the name of the client's certificate, UTF-8 (RFC 4514); nothing without one. TRI_ENOMEM, TRI_ELIMIT. */
TRI_NODISCARD int tri_tls_facts_name(const tri_tls_facts *facts, tri_buf *out);
/* Why the client's certificate is not to be believed; NULL when it is, or there is none. Static storage. */
const char *tri_tls_facts_error(const tri_tls_facts *facts);
/* Whether nothing that is told above differs. Where a client has a certificate that is never so. */
bool tri_tls_facts_alike(const tri_tls_facts *a, const tri_tls_facts *b);
/* A pointer of the caller's, NULL at first; `release` gives it back with the last reference. Set once. */
void tri_tls_facts_keep(tri_tls_facts *facts, void *user, void (*release)(void *));
void *tri_tls_facts_kept(const tri_tls_facts *facts);
/* What the buffers above are released with. */
const tri_mem *tri_tls_facts_mem(const tri_tls_facts *facts);

#endif
