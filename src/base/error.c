#include "base/error.h"

const char *tri_error_text(int error)
{
    if (error >= 0)
        return "no error";
    switch ((enum tri_error)error) {
    case TRI_OK:
        break;
    case TRI_ENOMEM:
        return "out of memory";
    case TRI_EAGAIN:
        return "not ready";
    case TRI_ECLOSED:
        return "connection closed";
    case TRI_ELIMIT:
        return "limit reached";
    case TRI_EPROTO:
        return "protocol error";
    case TRI_EINVAL:
        return "invalid value";
    case TRI_ESTATE:
        return "call out of order";
    case TRI_EMFILE:
        return "out of file descriptors";
    case TRI_ESYS:
        return "system call failed";
    }
    return "unknown error";
}
