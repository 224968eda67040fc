/* The access log's lines: what is known of an exchange, in the format of the operator. What comes from the peer is
   escaped, so that it can neither end a line nor leave its quotes. Sans I/O. */
#ifndef TRI_SERVER_ACCESS_LOG_H
#define TRI_SERVER_ACCESS_LOG_H

#include "base/mem.h"
#include "http/head.h"
#include "net/addr.h"
#include "server/access_format.h"

enum {
    TRI_ACCESS_LOG_VALUE = 8192,  /* bytes of a value; a longer one is cut and ends with ... */
    TRI_ACCESS_LOG_SENT = 1024,   /* bytes that are kept of a field of the answer */
    TRI_ACCESS_LOG_LINE = 131072, /* bytes of a line, at most */
};

typedef struct tri_access_log tri_access_log;

/* What a log is made with. All spans are copied. */
typedef struct tri_access_config {
    const tri_mem *mem;
    tri_span format;  /* see tri_access_format_compile */
    bool colors;      /* of the format uvicorn */
    tri_span library; /* the async library's name */
    uint32_t pid;
    uint64_t seed;     /* random: of the identifiers of requests that bring none */
    tri_span excluded; /* globs of paths that are not logged, each ended by a NUL */
    uint32_t most;     /* bytes of a line: what others' values are cut for where it would be longer, 0 for any */
} tri_access_config;

/* What is known of an exchange. All is borrowed for the call. */
typedef struct tri_access_record {
    const tri_head *head;
    const tri_addr *peer;
    tri_span scheme;
    tri_span host;
    int status;
    bool websocket; /* a handshake */
    uint64_t sent;  /* bytes of the answer's body */
    uint64_t wall_ns;
    uint64_t duration_ns;
    const tri_span *fields; /* the fields of the answer that the format names, in their order; NULL for none */
} tri_access_record;

/* A new log. TRI_ENOMEM; TRI_EINVAL, and then `fault` is filled. The caller owns it. */
TRI_NODISCARD int tri_access_log_new(tri_access_log **out, const tri_access_config *config, tri_access_fault *fault);
void tri_access_log_free(tri_access_log *log);
const tri_access_format *tri_access_log_format(const tri_access_log *log);
/* Whether a path, as it was sent, is not to be logged. */
bool tri_access_log_excludes(const tri_access_log *log, tri_span path);
/* One line with its line feed; valid until the next call. */
tri_span tri_access_log_line(tri_access_log *log, const tri_access_record *record);

/* Writes `bytes` as they stand between quotes in a line, and not beyond `end`: what is longer is cut and ends with
   dots. Returns where they end. `json`: as in a text of JSON. */
char *tri_access_log_escape(char *out, const char *end, tri_span bytes, bool json);
/* Whether `path` matches `glob`, in which * is any run of bytes and ? any byte. */
bool tri_access_log_matches(tri_span glob, tri_span path);

#endif
