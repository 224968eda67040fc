/* Exchanges that are WebSockets, within the server: what is called by the connection, its timer and the stop. */
#ifndef TRI_SERVER_WEBSOCKET_H
#define TRI_SERVER_WEBSOCKET_H

#include "server/internal.h"

/* Looks whether a request asks for a WebSocket: 0 when it does not or when it may have one (then `*asks` is set), else
   the status to refuse it with and why. */
int tri_websocket_check(const tri_head *head, bool *asks, const char **reason);
/* Puts the answer that accepts a handshake together, with the application's own fields and subprotocol, and submits it.
   TRI_ENOMEM, TRI_EPROTO, TRI_ECLOSED when making it has ended the exchange, or an error of submit_upgrade. */
TRI_NODISCARD int tri_websocket_submit(tri_exchange *exchange, tri_ws_protocol *protocol, const tri_field_out *fields,
                                       size_t n, tri_span subprotocol);
/* Makes the exchange one; its clock for the handshake starts. TRI_ENOMEM. */
TRI_NODISCARD int tri_websocket_open(tri_exchange *exchange);
void tri_websocket_free(tri_exchange *exchange);
/* Bytes of the tunnel. They are changed in place. */
void tri_websocket_recv(tri_exchange *exchange, tri_span bytes);
/* Whether more bytes are wanted from the peer. */
bool tri_websocket_wants(const tri_exchange *exchange);
/* The peer has ended its side. */
void tri_websocket_eof(tri_exchange *exchange);
/* The connection is gone. */
void tri_websocket_lose(tri_exchange *exchange);
/* The peer has taken what waited: a pong that was put off can go. */
void tri_websocket_drained(tri_exchange *exchange);
/* A deadline of it has passed. */
void tri_websocket_expire(tri_exchange *exchange);
/* The server stops. */
void tri_websocket_stop(tri_exchange *exchange);
/* The application has returned or failed. */
void tri_websocket_done(tri_exchange *exchange);

#endif
