#include "ws/ws_frame.h"

#include <assert.h>

#include "ws/protocol.h"
#include "ws/ws_utf8.h"

size_t tri_ws_frame_head(unsigned char head[TRI_WS_FRAME_HEAD], unsigned first, size_t n)
{
    unsigned bytes = n < 126 ? 0 : n <= UINT16_MAX ? 2 : 8;
    head[0] = (unsigned char)first;
    head[1] = (unsigned char)(bytes == 0 ? n : bytes == 2 ? 126 : 127);
    for (unsigned i = 0; i < bytes; i++)
        head[2 + i] = (unsigned char)((uint64_t)n >> 8 * (bytes - 1 - i));
    return 2 + bytes;
}

/* A short frame, in one piece. */
static int write_short(tri_chain *out, tri_chain_pool *chains, unsigned first, tri_span payload)
{
    char *p = tri_chain_reserve(out, chains, TRI_WS_FRAME_HEAD + payload.n);
    if (p == NULL)
        return TRI_ENOMEM;
    size_t n = tri_ws_frame_head((unsigned char *)p, first, payload.n);
    if (payload.n > 0)
        memcpy(p + n, payload.p, payload.n);
    tri_chain_commit(out, n + payload.n);
    return TRI_OK;
}

int tri_ws_frame_write(tri_chain *out, tri_chain_pool *chains, unsigned first, const tri_loan *loan)
{
    if (loan->bytes.n < TRI_WS_FRAME_BORROW) {
        int error = write_short(out, chains, first, loan->bytes);
        if (error == TRI_OK && loan->release != NULL)
            loan->release(loan->owner);
        return error;
    }
    unsigned char head[TRI_WS_FRAME_HEAD];
    tri_chain_mark mark = tri_chain_here(out);
    size_t n = tri_ws_frame_head(head, first, loan->bytes.n);
    int error = tri_chain_copy(out, chains, (tri_span){ (const char *)head, n });
    if (error == TRI_OK && loan->release != NULL)
        error = tri_chain_borrow(out, chains, *loan);
    else if (error == TRI_OK)
        error = tri_chain_copy(out, chains, loan->bytes);
    if (error != TRI_OK)
        tri_chain_rollback(out, chains, mark);
    return error;
}

bool tri_ws_frame_code_ok(int code)
{
    bool registered = code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
    return registered || (code >= 3000 && code <= 4999);
}

int tri_ws_frame_read_close(tri_span payload, int *code, tri_span *reason)
{
    *code = TRI_WS_NO_STATUS;
    *reason = (tri_span){ NULL, 0 };
    if (payload.n == 0)
        return 0;
    if (payload.n == 1)
        return TRI_WS_PROTOCOL_ERROR;
    const unsigned char *bytes = (const unsigned char *)payload.p;
    *code = bytes[0] << 8 | bytes[1];
    *reason = (tri_span){ payload.p + 2, payload.n - 2 };
    if (!tri_ws_frame_code_ok(*code))
        return TRI_WS_PROTOCOL_ERROR;
    tri_ws_utf8 utf8 = { 0 };
    bool ok = tri_ws_utf8_go_on(&utf8, reason->p, reason->n) && tri_ws_utf8_complete(&utf8);
    return ok ? 0 : TRI_WS_INVALID_DATA;
}

size_t tri_ws_frame_put_close(char *payload, int code, tri_span reason)
{
    assert(reason.n <= TRI_WS_REASON_MOST);
    if (code == TRI_WS_NO_STATUS)
        return 0;
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (reason.n > 0)
        memcpy(payload + 2, reason.p, reason.n);
    return 2 + reason.n;
}
