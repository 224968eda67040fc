/* HTTP/1.1 whose requests are read by a parser of another make: what that has read is told here in place of bytes. All
   else stays what it is: the same rules are checked again, the same limits hold, and answers are framed as ever, unless
   they are written elsewhere, too. */
#ifndef TRI_HTTP_HTTP1_READER_H
#define TRI_HTTP_HTTP1_READER_H

#include "http/http1.h"

/* The operations of HTTP/1.1, for a protocol that puts others in the place of recv and next_event. */
extern const tri_protocol_ops tri_http1_ops;

/* Whether the connection carries another protocol by now: its bytes are taken by HTTP/1.1's own recv. */
bool tri_http1_reader_tunnels(const tri_http1 *self);
/* Whether bytes are wanted: neither an event waits, nor is a request complete that has no answer yet. */
bool tri_http1_reader_wants(const tri_http1 *self);
/* The parser is about to be given these bytes. */
void tri_http1_reader_give(tri_http1 *self, const char *bytes, size_t n);
/* It took `n` bytes and gave no event: a head, or the framing of a body, has begun. Refused when there is more of that
   than the limits allow. */
void tri_http1_reader_quiet(tri_http1 *self, size_t n);
/* A head in canonical form, as it would have come from the wire: request line, field lines, empty line. The bytes must
   live until next_event has given the event, and are changed in place (names are lower-cased). TRI_ENOMEM. */
TRI_NODISCARD int tri_http1_reader_head(tri_http1 *self, char *bytes, size_t n);
/* Decoded bytes of the body; they must live until next_event has given the event. */
void tri_http1_reader_body(tri_http1 *self, tri_span bytes);
/* The request is complete. */
void tri_http1_reader_end(tri_http1 *self);
/* The parser refuses the request; `reason` is static. */
void tri_http1_reader_reject(tri_http1 *self, int status, const char *reason);

/* Answers that are written elsewhere (http1_answer.c). */

/* As submit_head: checks the head and holds it, but puts nothing into the chain. */
TRI_NODISCARD int tri_http1_answer_hold(tri_http1 *self, const tri_response *response);
/* Whether a field of the held head is to be sent: those of the connection are not the application's. */
bool tri_http1_answer_keeps(const tri_http1 *self, const tri_field_out *field);
/* As submit_body for `n` bytes, which it counts; they become 0 where the answer has no body. tri_http1_answer_done is
   to follow the last of them. */
TRI_NODISCARD int tri_http1_answer_count(tri_http1 *self, size_t *n, bool end);
/* Whether the connection ends with the answer, whose body has begun. */
bool tri_http1_answer_closes(const tri_http1 *self);
/* The last byte of the answer is in the chain (http1.c). */
void tri_http1_answer_done(tri_http1 *self);

#endif
