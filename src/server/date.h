/* The Date field (RFC 9110 §6.6.1) in its preferred format, IMF-fixdate. */
#ifndef TRI_SERVER_DATE_H
#define TRI_SERVER_DATE_H

#include <stddef.h>
#include <stdint.h>

enum { TRI_DATE_LINE = 48 };

/* Writes "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" for `second` since 1970 into `line` and returns its length. */
size_t tri_date_line(int64_t second, char line[TRI_DATE_LINE]);

#endif
