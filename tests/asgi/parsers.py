"""Where h11 and httptools read otherwise than the parser in C; ``docs/parsers.md`` has the same table for users."""

from __future__ import annotations

import re

_CODING = "answers 501 where the C parser answers 400: RFC 9112 §6.1 asks for that"
_REPEATED = "takes a length that is given more than once, if it is the same, as RFC 9110 §8.6 lets it"
_BARE_LF = "takes a LF alone for the end of a line, as RFC 9112 §2.2 lets it"
_EXTENSIONS = "does not show the extensions of chunks, so that their limit cannot be exact"
_ANNOUNCED = "does not show the size of a chunk, so that too long a body is refused with its data"

DIFFERENCES: dict[str, dict[str, str]] = {
    "h11": {
        r"bad_head\[.*-coding-|unknown_coding\[": _CODING,
        r"bad_head\[.*-fold\]": "joins a folded field line with a space, as RFC 9112 §5.2 lets it",
        r"bad_head\[.*-repeated\]": _REPEATED,
        r"test_bare_lf|-bare-lf\]": _BARE_LF,
        r"bad_chunked_body\[.*-size-too-large\]": "takes sizes of chunks of up to 20 digits",
        r"what_surrounds_chunks\[.*-extensions\]": _EXTENSIONS,
        r"413_in_the_middle": _ANNOUNCED,
        r"test_400_for_tls": "waits for the end of a line that begins as no request does",
    },
    "httptools": {
        r"bad_head\[.*-http-0.9\]": "takes a request line without a version for HTTP/0.9, and the answer is 505",
        r"bad_head\[.*-two-spaces\]": "takes several spaces between the parts of a request line",
        r"-version-9\]|-unknown-version\]": "answers 400 to versions that it has not heard of",
        r"version_and_method\[.*-(get|pROPFIND) ": "knows a list of methods and no others",
        r"what_surrounds_chunks\[.*-extensions\]": _EXTENSIONS,
        r"413_in_the_middle": _ANNOUNCED,
        r"test_400_for_tls": "calls TLS at a port without it an invalid method",
    },
}
"""For each parser, which tests do not hold (searched for in their names) and what it does instead."""


NEED_A_LIBRARY = re.compile(
    r"\[none.*-(?:chunked-while-waiting|pipelined|later)\]|"
    r"(?:after_good_requests|over_the_concurrency|has_no_deadline|ends_a_pipeline|behind_a_waiting|comes_after_the"
    r"|F3_concurrent|unread_upload|out_of_descriptors|application_that_does_not_end).*\[none"
)
"""Tests whose application waits for something else than ``receive()`` and ``send()``."""


def difference(parser: str, test: str) -> str | None:
    """Return what a parser does instead of what a test of that name expects, ``None`` where it holds."""
    found = (what for pattern, what in DIFFERENCES.get(parser, {}).items() if re.search(pattern, test))
    what = next(found, None)
    return None if what is None else f"{parser} {what}"


def needs_a_library(test: str) -> str | None:
    """Return why a test is not run without an async library, ``None`` where it is."""
    found = NEED_A_LIBRARY.search(test)
    return None if found is None else "the application waits for something else than receive() and send()"
