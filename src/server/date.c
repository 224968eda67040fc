#include "server/date.h"

#include <stdio.h>
#include <time.h>

size_t tri_date_line(int64_t second, char line[TRI_DATE_LINE])
{
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t now = (time_t)second;
    struct tm utc;
    if (gmtime_r(&now, &utc) == NULL)
        return 0;
    int n = snprintf(line, TRI_DATE_LINE, "date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[utc.tm_wday],
                     utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return n > 0 && n < TRI_DATE_LINE ? (size_t)n : 0;
}
