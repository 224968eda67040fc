/* A request's head as the parsers hand it up, whatever the version: method, target and field lines as offsets into one
   run of bytes. */
#ifndef TRI_HTTP_HEAD_H
#define TRI_HTTP_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

/* One run of bytes within tri_head.base. */
typedef struct tri_slice {
    uint32_t at;
    uint32_t n;
} tri_slice;

typedef struct tri_field {
    tri_slice name;  /* lower case */
    tri_slice value; /* without white space around it */
    uint32_t hash;   /* FNV-1a of the lower-case name, so that a cache need not compute it */
} tri_field;

enum tri_head_flag {
    TRI_HEAD_KEEP_ALIVE = 1,   /* the peer allows another request on this connection */
    TRI_HEAD_EXPECT = 2,       /* Expect: 100-continue, from HTTP/1.1 or later */
    TRI_HEAD_BODY = 4,         /* a body follows: BODY events, then END */
    TRI_HEAD_LENGTH = 8,       /* content_length was given */
    TRI_HEAD_UPGRADE = 16,     /* Connection: upgrade with an Upgrade field */
    TRI_HEAD_IS_HEAD = 32,     /* the method is HEAD: the answer carries no body */
    TRI_HEAD_TE_TRAILERS = 64, /* TE: trailers */
    TRI_HEAD_CONNECT = 128,    /* extended CONNECT for a WebSocket (RFC 8441): UPGRADE is set, too, but the fields that
                                  HTTP/1.1 has for it are neither there nor in the answer by submit_upgrade: 200 */
};

typedef struct tri_head {
    const char *base; /* all slices are relative to it */
    uint32_t size;    /* bytes from base that the slices can reach */
    tri_slice method;
    tri_slice target; /* as received */
    tri_slice path;   /* "*" for asterisk-form; an absolute-form may have none: then path.n == 0, and "/" is meant */
    tri_slice query;  /* after the question mark, without it */
    tri_slice host;   /* the authority: of an absolute target, else the Host field's value; n == 0 when there is none */
    uint16_t flags;   /* enum tri_head_flag */
    uint8_t major;    /* 1 */
    uint8_t minor;    /* 0 or 1 */
    uint64_t content_length;
    uint32_t n_fields;
    uint32_t max_fields;
    tri_field *fields; /* max_fields of them, in the order received */
} tri_head;

static inline tri_span tri_head_span(const tri_head *head, tri_slice slice)
{
    return (tri_span){ head->base + slice.at, slice.n };
}

/* A copy whose bytes and fields are one allocation: valid until tri_head_free. NULL when memory is short. The caller
   owns it. */
TRI_NODISCARD tri_head *tri_head_copy(const tri_head *head, const tri_mem *mem);
void tri_head_free(tri_head *copy, const tri_mem *mem);
/* The bytes that tri_head_copy would ask for, and the same copy made into memory of the caller's of at least that size,
   8-aligned. */
size_t tri_head_copy_size(const tri_head *head);
tri_head *tri_head_copy_into(const tri_head *head, void *memory);

#endif
