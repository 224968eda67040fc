/* What OpenSSL's errors mean to whoever reads the log. */
#ifndef TRI_NET_TLS_REASON_H
#define TRI_NET_TLS_REASON_H

#include <stdbool.h>

/* A sentence on an error of OpenSSL's, of a handshake or of what came later (`established`). Static storage. */
const char *tri_tls_reason(unsigned long error, bool established);
/* The same of a client's certificate, by the result of its verification (X509_V_ERR_…). */
const char *tri_tls_reason_distrust(long result);

#endif
