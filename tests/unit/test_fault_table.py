"""Every system call that the core makes has a test in which it fails, or a reason for having none."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tricorn import _core

TESTS = Path(__file__).resolve().parents[1] / "core"
SYSCALLS, START, WATCHDOG = "test_server_syscalls.c", "test_start_syscalls.c", "test_watchdog.c"

FAILING = {
    "accept4": ("ACCEPT", SYSCALLS),
    "bind": ("BIND", START),
    "chmod": ("CHMOD", START),
    "close": ("CLOSE", SYSCALLS),
    "connect": ("CONNECT", START),
    "epoll_create1": ("EPOLL_NEW", START),
    "epoll_ctl": ("EPOLL_CTL", SYSCALLS),
    "epoll_wait": ("EPOLL_WAIT", SYSCALLS),
    "eventfd": ("EVENT_NEW", START),
    "fcntl": ("FCNTL", START),
    "fstat": ("FSTAT", START),
    "getsockname": ("GETSOCKNAME", SYSCALLS),
    "getsockopt": ("GETSOCKOPT", START),
    "ioctl": ("UNSENT", SYSCALLS),
    "listen": ("LISTEN", START),
    "lstat": ("LSTAT", START),
    "mmap": ("MMAP", START),
    "poll": ("POLL", START),
    "read": ("READ", SYSCALLS),
    "recv": ("RECV", SYSCALLS),
    "recvmsg": ("RECVMSG", START),
    "send": ("SEND", SYSCALLS),
    "sendmsg": ("SENDMSG", SYSCALLS),
    "setsockopt": ("SETSOCKOPT", SYSCALLS),
    "shutdown": ("SHUTDOWN", SYSCALLS),
    "socket": ("SOCKET", START),
    "timerfd_create": ("TIMER_NEW", START),
    "timerfd_settime": ("TIMER_SET", SYSCALLS),
    "unlink": ("UNLINK", START),
    "write": ("LOG", START),
}
"""Calls, the name that each has in the table of faults, and the test that goes through its errors."""

ELSEWHERE = {
    "getaddrinfo": "test_listener.c",
    "pthread_create": WATCHDOG,
    "sigaction": WATCHDOG,
    "timer_create": WATCHDOG,
}
"""Calls that fail in a test of their own."""

CANNOT_FAIL = {
    "_exit": "it does not return",
    "clock_gettime": "only for a clock that a machine lacks; tests/asgi/test_clocks.py has clocks jump",
    "getpid": "it has no error",
    "getppid": "it has no error",
    "munmap": "only of what was not mapped",
    "prctl": "only for a signal that there is not, which tests/unit/test_process.py gives",
    "pthread_join": "only for a thread that was never begun",
    "pthread_mutex_init": "it makes no system call",
    "pthread_mutex_lock": "only for a mutex that was never made",
    "pthread_mutex_unlock": "only for a mutex that was never made",
    "pthread_sigmask": "only for a mask that there is not",
    "timer_delete": "only of a timer that was never made",
    "timer_settime": "only of a timer that was never made",
    "umask": "it has no error",
}

MEMORY = {"malloc", "realloc", "free", "calloc", "malloc_trim", "mallopt"}
"""They fail by tri_mem, in test_server_faults.c, test_ws_faults.c, test_server_tls_faults.c and nomemory.py."""

NO_CALLS = {
    "__cxa_finalize",
    "__errno_location",
    "__gmon_start__",
    "__libc_current_sigrtmax",
    "__stack_chk_fail",
    "__assert_fail",
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
    "fmod",
    "freeaddrinfo",
    "gmtime_r",
    "inet_ntop",
    "inet_pton",
    "localtime_r",
    "lround",
    "memchr",
    "memcmp",
    "memcpy",
    "memmem",
    "memmove",
    "memrchr",
    "memset",
    "nextafter",
    "pthread_attr_destroy",
    "pthread_attr_init",
    "pthread_attr_setstacksize",
    "qsort",
    "sigfillset",
    "snprintf",
    "strchr",
    "strcmp",
    "strerror",
    "strftime",
    "strlen",
    "strncasecmp",
    "strnlen",
}
"""Functions of the C library that ask nothing of the kernel, but for the zone of localtime_r, whose failure is UTC."""

OTHERS = re.compile(
    r"_?Py|nghttp2_|SSL|X509|EVP_|BIO_|ERR_|OPENSSL_|OpenSSL_|inflate|deflate|zlib|adler32|crc32"
)
"""What other libraries give; their memory fails in the tests of allocations."""


def imported() -> set[str]:
    """Return what the built core takes from the C library, by the names that the sources have."""
    told = subprocess.run(
        ["nm", "-D", "--undefined-only", _core.__file__], check=True, capture_output=True, text=True
    ).stdout
    names = set()
    for line in told.splitlines():
        name, _, version = line.split()[-1].partition("@")
        if version.startswith("GLIBC") or not (version or OTHERS.match(name)):
            names.add(re.sub(r"64$", "", name))
    return names


def is_instrumented() -> bool:
    """Tell whether a sanitizer's or coverage's calls are built in, which are no part of the server."""
    told = subprocess.run(["nm", "-D", _core.__file__], check=True, capture_output=True, text=True).stdout
    return "__asan" in told or "__gcov" in told or "gcov" in told


@pytest.mark.skipif(is_instrumented(), reason="other calls are built in")
def test_every_call_is_in_the_table() -> None:
    known = {*FAILING, *ELSEWHERE, *CANNOT_FAIL, *MEMORY, *NO_CALLS}
    unknown = sorted(imported() - known)
    assert not unknown, (
        f"the core calls {', '.join(unknown)}: have it fail in tests/core/faults.h and its tests, or say here why not"
    )


def test_nothing_in_the_table_has_gone() -> None:
    gone = sorted({*FAILING, *ELSEWHERE, *CANNOT_FAIL} - imported())
    assert not gone, f"the core does not call {', '.join(gone)} any more: take it out of the tables"


@pytest.mark.parametrize("call", sorted(FAILING))
def test_each_fails_with_its_errors(call: str) -> None:
    """The function goes before the C library's, and its row has errors."""
    name, test = FAILING[call]
    faults = (TESTS / "faults.h").read_text()
    assert re.search(rf"^[a-z_]+ \**{call}\([^;]*\)\n\{{[^}}]*\b{name}\b", faults, re.MULTILINE)
    row = re.search(rf"\{{ {name}, \{{ (.+) \}} \}}", (TESTS / test).read_text())
    assert row and all(re.fullmatch(r"E[A-Z]+|SHORT", error) for error in row[1].split(", "))


@pytest.mark.parametrize("call", sorted(ELSEWHERE))
def test_the_others_fail_in_tests_of_their_own(call: str) -> None:
    assert re.search(rf"\b{call}\(", (TESTS / ELSEWHERE[call]).read_text())
