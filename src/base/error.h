/* Error numbers of the core: one closed list for every layer. */
#ifndef TRI_BASE_ERROR_H
#define TRI_BASE_ERROR_H

/* Functions that can fail return 0 (or a count) or one of these; the compiler insists that it is looked at. */
#define TRI_NODISCARD __attribute__((warn_unused_result))

enum tri_error {
    TRI_OK = 0,
    TRI_ENOMEM = -1,  /* the allocator refused */
    TRI_EAGAIN = -2,  /* nothing now; ask again when the descriptor or the exchange is ready */
    TRI_ECLOSED = -3, /* the peer or the connection is gone */
    TRI_ELIMIT = -4,  /* a configured maximum was reached */
    TRI_EPROTO = -5,  /* the peer broke the protocol; what to answer is in the event */
    TRI_EINVAL = -6,  /* the application handed over something that may not be sent */
    TRI_ESTATE = -7,  /* a call out of order, by the application */
    TRI_EMFILE = -8,  /* out of descriptors, or of kernel memory for one */
    TRI_ESYS = -9,    /* a system call failed; errno tells which way */
};

/* A short English text for `error`, never NULL. Static storage. */
const char *tri_error_text(int error);

#endif
