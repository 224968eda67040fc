/* The format of the access log's lines, compiled once into what is written one after another. Sans I/O. */
#ifndef TRI_SERVER_ACCESS_FORMAT_H
#define TRI_SERVER_ACCESS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

enum {
    TRI_ACCESS_FORMAT_OPS = 128,   /* atoms and the text between them */
    TRI_ACCESS_FORMAT_TEXT = 4096, /* bytes of a format */
    TRI_ACCESS_FORMAT_SENT = 16,   /* fields of the answer */
};

/* What a piece of a line is. */
enum tri_access_atom {
    TRI_ACCESS_LITERAL,
    TRI_ACCESS_UVICORN, /* the whole line as uvicorn writes it */
    TRI_ACCESS_NOTHING, /* always a dash */
    TRI_ACCESS_CLIENT,  /* address and port */
    TRI_ACCESS_ADDRESS,
    TRI_ACCESS_PORT,
    TRI_ACCESS_REQUEST, /* the request line */
    TRI_ACCESS_METHOD,
    TRI_ACCESS_TARGET,
    TRI_ACCESS_PATH,
    TRI_ACCESS_QUERY,
    TRI_ACCESS_PROTOCOL,
    TRI_ACCESS_SCHEME,
    TRI_ACCESS_STATUS,
    TRI_ACCESS_PHRASE,
    TRI_ACCESS_BYTES,
    TRI_ACCESS_BYTES_OR_DASH,
    TRI_ACCESS_TIME,       /* ISO 8601, UTC, milliseconds */
    TRI_ACCESS_LOCAL_TIME, /* of the common log format */
    TRI_ACCESS_MICROS,
    TRI_ACCESS_MILLIS,       /* three decimals */
    TRI_ACCESS_WHOLE_MILLIS, /* none */
    TRI_ACCESS_SECONDS,      /* six decimals */
    TRI_ACCESS_WHOLE_SECONDS,
    TRI_ACCESS_REQUEST_ID,
    TRI_ACCESS_HOST,
    TRI_ACCESS_FIELD, /* of the request */
    TRI_ACCESS_SENT,  /* field of the answer */
    TRI_ACCESS_LIBRARY,
    TRI_ACCESS_PID,
    TRI_ACCESS_PID_IN_ANGLES,
};

/* What has to be known for a line, beside the request and its status. */
enum tri_access_need { TRI_ACCESS_NEEDS_WALL = 1, TRI_ACCESS_NEEDS_DURATION = 2 };

typedef struct tri_access_op {
    uint8_t atom;  /* enum tri_access_atom */
    uint8_t sent;  /* SENT: its number */
    uint16_t n;    /* LITERAL: the text; FIELD, SENT, REQUEST_ID: a field's name in lower case */
    uint32_t at;   /* where that is in `text` */
    uint32_t hash; /* FNV-1a of the name */
} tri_access_op;

typedef struct tri_access_format {
    bool json;      /* texts are quoted and escaped as JSON's */
    unsigned needs; /* enum tri_access_need, or-ed */
    unsigned n_sent;
    unsigned n_values; /* that are the peer's or the application's */
    unsigned n_ops;
    size_t n_text;
    tri_access_op ops[TRI_ACCESS_FORMAT_OPS];
    char text[TRI_ACCESS_FORMAT_TEXT];
} tri_access_format;

/* Why a format was refused. */
typedef struct tri_access_fault {
    size_t at;          /* the byte of the format */
    const char *reason; /* static storage */
} tri_access_fault;

/* Compiles `text`: uvicorn, json, common, combined, a text with atoms such as %(h)s, or one of JSON behind "json:".
   TRI_EINVAL, and then `fault` is filled. */
TRI_NODISCARD int tri_access_format_compile(tri_access_format *format, tri_span text, tri_access_fault *fault);

#endif
