/* What OpenSSL's errors mean to whoever reads the log. */
#include "net/tls_reason.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
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

static const struct {
    long result;
    const char *text;
} DISTRUSTS[] = {
    { X509_V_ERR_CERT_HAS_EXPIRED, "the TLS handshake failed: the client's certificate has expired" },
    { X509_V_ERR_CERT_NOT_YET_VALID, "the TLS handshake failed: the client's certificate is not good yet" },
    { X509_V_ERR_CERT_REVOKED, "the TLS handshake failed: the client's certificate was revoked" },
    { X509_V_ERR_UNABLE_TO_GET_CRL,
      "the TLS handshake failed: there is no list (--ssl-crl) of who signed for a client" },
    { X509_V_ERR_CRL_HAS_EXPIRED,
      "the TLS handshake failed: a list of revoked certificates (--ssl-crl) is out of date" },
    { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      "the TLS handshake failed: who signed the client's certificate is not known" },
    { X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
      "the TLS handshake failed: who signed the client's certificate is not known" },
    { X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
      "the TLS handshake failed: who signed the client's certificate is not known" },
    { X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
      "the TLS handshake failed: the client has signed its certificate itself" },
    { X509_V_ERR_INVALID_PURPOSE, "the TLS handshake failed: the client's certificate is not for clients" },
};

const char *tri_tls_reason_distrust(long result)
{
    for (size_t i = 0; i < sizeof DISTRUSTS / sizeof *DISTRUSTS; i++)
        if (DISTRUSTS[i].result == result)
            return DISTRUSTS[i].text;
    return "the TLS handshake failed: the client's certificate is not to be believed";
}
