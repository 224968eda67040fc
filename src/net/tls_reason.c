/* What OpenSSL's errors mean to whoever reads the log. */
#include "net/tls_reason.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stddef.h>

static const struct {
    int reason;
    const char *text;
} TEXTS[] = {
    { SSL_R_NO_SHARED_CIPHER, "the TLS handshake failed: the client has no cipher suite in common with us" },
    { SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "the TLS handshake failed: the client cannot check our certificate" },
    { SSL_R_NO_SUITABLE_KEY_SHARE, "the TLS handshake failed: the client has no group in common with us" },
    { SSL_R_UNSUPPORTED_PROTOCOL, "the TLS handshake failed: the client's version of TLS is too old" },
    { SSL_R_VERSION_TOO_LOW, "the TLS handshake failed: the client's version of TLS is too old" },
    { SSL_R_INAPPROPRIATE_FALLBACK, "the TLS handshake failed: the client fell back to an older version of TLS" },
    { SSL_R_WRONG_VERSION_NUMBER, "the TLS handshake failed: what came is no TLS" },
    { SSL_R_NO_APPLICATION_PROTOCOL, "the TLS handshake failed: the client offers no protocol that is spoken here" },
    { SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the TLS handshake failed: the client has no certificate" },
    { SSL_R_CERTIFICATE_VERIFY_FAILED, "the TLS handshake failed: the client's certificate is not to be believed" },
    { SSL_R_EXCESSIVE_MESSAGE_SIZE, "the TLS handshake failed: a message is too long" },
    { SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the TLS handshake failed: the client does not know who signed our certificate" },
    { SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the TLS handshake failed: the client refuses our certificate" },
    { SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the TLS handshake failed: the client refuses our certificate" },
    { SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the TLS handshake failed: our certificate has expired, says the client" },
    { SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the TLS handshake failed: the client accepts none of what we offer" },
    { SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the TLS handshake failed: the client refuses our version of TLS" },
};

const char *tri_tls_reason(unsigned long error, bool established)
{
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS && !established; i++)
        if (TEXTS[i].reason == ERR_GET_REASON(error))
            return TEXTS[i].text;
    if (ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET)
        return established ? "the client ended TLS with an alert" : "the TLS handshake failed: the client gave it up";
    return established ? "what came broke the rules of TLS" : "the TLS handshake failed";
}
