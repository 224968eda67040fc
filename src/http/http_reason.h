/* The words of status codes. */
#ifndef TRI_HTTP_HTTP_REASON_H
#define TRI_HTTP_HTTP_REASON_H

/* The reason phrase of RFC 9110 (and the registry) for `status`, "" when it has none. Static storage. */
const char *tri_http_reason(int status);

#endif
