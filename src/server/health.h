/* Paths that tell a load balancer how the server is, answered without an application. */
#ifndef TRI_SERVER_HEALTH_H
#define TRI_SERVER_HEALTH_H

#include "server/internal.h"

/* Answers a request for one of the paths; false when it is for none of them. */
bool tri_health_answer(tri_conn *conn, const tri_event *event);

#endif
