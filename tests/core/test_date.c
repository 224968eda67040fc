/* The Date field's line. */
#include "check.h"

#include "server/date.h"

static void check_line(int64_t second, const char *expected)
{
    char line[TRI_DATE_LINE];
    size_t n = tri_date_line(second, line);
    CHECK(n == strlen(expected) && memcmp(line, expected, n) == 0);
}

int main(void)
{
    check_line(784111777, "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    check_line(0, "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    check_line(951782400, "date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
    check_line(1735689599, "date: Tue, 31 Dec 2024 23:59:59 GMT\r\n");
    check_line(INT64_C(253402300799), "date: Fri, 31 Dec 9999 23:59:59 GMT\r\n");
    check_line(INT64_MAX, ""); /* a year that has no such form */
    return check_report();
}
