/* errno_name.h - names of the errors that the tests print; not every libc has a function for it */
#include <errno.h>

static inline const char *name(int error)
{
    static const struct {
        int value;
        const char *name;
    } names[] = {
        { 0, "0" },
#define ENTRY(value) { value, #value }
        ENTRY(EACCES),       ENTRY(EADDRNOTAVAIL), ENTRY(EAFNOSUPPORT), ENTRY(EAGAIN),     ENTRY(EALREADY),
        ENTRY(EBADF),        ENTRY(ECONNABORTED),  ENTRY(ECONNREFUSED), ENTRY(ECONNRESET), ENTRY(EHOSTUNREACH),
        ENTRY(EINPROGRESS),  ENTRY(EINTR),         ENTRY(EINVAL),       ENTRY(EIO),        ENTRY(EISCONN),
        ENTRY(EMFILE),       ENTRY(ENETUNREACH),   ENTRY(ENOTCONN),     ENTRY(ENOTSOCK),   ENTRY(EPIPE),
        ENTRY(EPROTO),       ENTRY(ETIMEDOUT),     ENTRY(ENOENT),       ENTRY(ENOTDIR),    ENTRY(EXDEV),
        ENTRY(EEXIST),       ENTRY(ENODATA),       ENTRY(EISDIR),       ENTRY(ENOSYS),     ENTRY(EPERM),
        ENTRY(EDESTADDRREQ), ENTRY(EMSGSIZE),      ENTRY(EOPNOTSUPP),
#undef ENTRY
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (names[i].value == error)
            return names[i].name;
    return "another error";
}
