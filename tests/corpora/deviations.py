"""Where the server's verdict on a corpus is another than the corpus's, and why; and its own rules. docs/policy.md is
made of these tables by tools/gen_policy.py, and the tests hold the server to them."""

from __future__ import annotations

import re
from dataclasses import dataclass

SERVED = 200
HOST = b"Host: a\r\n"


@dataclass(frozen=True)
class Rule:
    """A rule of the server where RFC 9110 and 9112 leave a choice, or are often not kept."""

    rule: str
    example: bytes
    status: int
    reason: str


@dataclass(frozen=True)
class Deviation:
    """Cases of a corpus on which the server comes to another verdict."""

    cases: tuple[str, ...]
    """Their names; ``*`` stands for any part of one."""
    corpus: str
    """What the corpus says."""
    status: int
    """What the server answers: 200 when it serves what the corpus refuses, or serves something else."""
    reason: str


@dataclass(frozen=True)
class Difference:
    """A rule in which h11 and the server differ: where it applies, their verdicts need not agree."""

    what: str
    pattern: re.Pattern[bytes]
    """What the bytes have where it applies; searched in the whole."""
    example: bytes
    h11: str
    status: int
    reason: str


def get(target: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    """Return a GET request."""
    return b"GET " + target + b" HTTP/" + version + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


def chunked(body: bytes, *fields: bytes) -> bytes:
    """Return a POST request with a chunked body, which is given as it is sent."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n" + lines + b"\r\n" + body


RULES = (
    Rule(
        "A line ends with CR LF; a LF alone is refused.",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        400,
        "RFC 9112 §2.2 lets a recipient take it. Two parties that do and do not see two different messages.",
    ),
    Rule(
        "A CR stands before LF only.",
        get(b"/", b"Host: a", b"A: b\rC: d"),
        400,
        "RFC 9112 §2.2 asks to refuse it or to read a space; refused, as it can only be meant to mislead.",
    ),
    Rule(
        "One empty line before a request is skipped, two are refused.",
        b"\r\n\r\n" + get(b"/", b"Host: a"),
        400,
        "RFC 9112 §2.2 asks to skip at least one; old clients send one after a body, nobody sends more.",
    ),
    Rule(
        "A method is any token, and is given to the application in upper case.",
        b"-purge / HTTP/1.1\r\n" + HOST + b"\r\n",
        SERVED,
        "Which methods there are is the application's to say (405, 501). ASGI wants upper case.",
    ),
    Rule(
        "HEAD in another case than upper is refused.",
        b"head / HTTP/1.1\r\n" + HOST + b"\r\n",
        501,
        "It is another method (RFC 9110 §9.1), which in upper case the application could not tell from HEAD.",
    ),
    Rule(
        "CONNECT is refused.",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        501,
        "A server of applications is no proxy, and ASGI has no word for a tunnel.",
    ),
    Rule(
        "A target is a path, or a whole `http` or `https` address; `*` is for OPTIONS alone.",
        get(b"*", b"Host: a"),
        400,
        "RFC 9112 §3.2 knows these forms, and one for CONNECT.",
    ),
    Rule(
        "A target is of visible ASCII characters without `#`.",
        get(b"/a#b", b"Host: a"),
        400,
        "A fragment is never sent (RFC 3986 §3.5), other bytes are to be escaped; guesses about them differ.",
    ),
    Rule(
        "An address in the target has no user and password.",
        get(b"http://me:secret@a/", b"Host: a"),
        400,
        "RFC 9110 §4.2.4: it is treated as an error, for it is used to hide the authority.",
    ),
    Rule(
        "A version of 1 is served, 1.2 and above as 1.1.",
        get(b"/", b"Host: a", version=b"1.7"),
        SERVED,
        "RFC 9110 §2.5.",
    ),
    Rule("Another version is refused.", get(b"/", b"Host: a", version=b"2.0"), 505, "RFC 9110 §15.6.6."),
    Rule(
        "A request without version (HTTP/0.9) is refused.",
        b"GET /\r\n\r\n",
        400,
        "Nobody speaks it any more. Where HTTP/2 is spoken without TLS, the first of a connection may be taken for"
        " [an invalid preface](http2.md).",
    ),
    Rule("HTTP/1.1 has a Host field, once, with a host and perhaps a port.", get(b"/"), 400, "RFC 9112 §3.2."),
    Rule(
        "Names of fields are tokens; `_` is a character like any other, and `A_B` is not `A-B`.",
        get(b"/", b"Host: a", b"Transfer_Encoding: x"),
        SERVED,
        "An application gets names as bytes. A bridge to WSGI, which writes both as `A_B`, must drop one.",
    ),
    Rule(
        "There is no space before the colon of a field.",
        get(b"/", b"Host: a", b"A : b"),
        400,
        "RFC 9112 §5.1.",
    ),
    Rule(
        "A field's value has no control character but HTAB.",
        get(b"/", b"Host: a", b"A: b\x07"),
        400,
        "RFC 9110 §5.5. Bytes from 0x80 on are kept as they are.",
    ),
    Rule("A field is one line: folding is refused.", get(b"/", b"Host: a", b"A: b", b" c"), 400, "RFC 9112 §5.2."),
    Rule(
        "Content-Length stands once, with one number of at most 18 digits.",
        get(b"/", b"Host: a", b"Content-Length: 1, 1") + b"a",
        400,
        "RFC 9112 §6.3 lets equal values be merged; no client sends them, and not everybody merges them.",
    ),
    Rule(
        "Transfer-Encoding stands once and is `chunked`, in HTTP/1.1.",
        get(b"/", b"Host: a", b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
        400,
        "No other coding is undone here, and an application that is handed a coded body takes it for the content.",
    ),
    Rule(
        "Transfer-Encoding and Content-Length do not come together.",
        chunked(b"0\r\n\r\n", b"Content-Length: 5"),
        400,
        "RFC 9112 §6.1 lets the length be ignored; it is the mark of request smuggling.",
    ),
    Rule(
        "The size of a chunk has up to 16 digits, and nothing around it.",
        chunked(b"1 \r\na\r\n0\r\n\r\n"),
        400,
        "RFC 9112 §7.1.",
    ),
    Rule(
        "Extensions of a chunk are skipped, without a look at their grammar.",
        chunked(b"1;\r\na\r\n0\r\n\r\n"),
        SERVED,
        "RFC 9112 §7.1.1: unknown ones are ignored, and none is known. Their bytes and length are checked.",
    ),
    Rule(
        "Trailers are checked like fields and dropped, whatever their names.",
        chunked(b"0\r\nContent-Length: 9\r\n\r\n"),
        SERVED,
        "ASGI does not carry them; what is dropped cannot change the framing, whose fields a trailer must not have.",
    ),
    Rule(
        "An expectation but `100-continue` is refused.",
        get(b"/", b"Host: a", b"Expect: magic"),
        417,
        "RFC 9110 §10.1.1.",
    ),
    Rule(
        "A repeated field is given to the application as often as it came.",
        get(b"/", b"Host: a", b"Content-Type: a/b", b"Content-Type: c/d"),
        SERVED,
        "Who knows a field knows whether it may be repeated. Those that frame a message are checked here.",
    ),
    Rule(
        "An Upgrade to what is not spoken is ignored.",
        get(b"/", b"Host: a", b"Connection: upgrade", b"Upgrade: irc"),
        SERVED,
        "RFC 9110 §7.8 lets a server do so; the request is answered like any other.",
    ),
    Rule(
        "What comes behind a request that closes the connection is not read as one.",
        get(b"/", b"Host: a", b"Connection: close") + b"no request\r\n\r\n",
        SERVED,
        "RFC 9112 §9.6.",
    ),
    Rule(
        "A request that ends before its end is refused, when the client has closed its side.",
        get(b"/", b"Host: a", b"Content-Length: 5") + b"abc",
        400,
        "RFC 9112 §8: it is incomplete. An application that is at work on it sees a disconnect.",
    ),
    Rule(
        "Fields of proxies, such as X-Forwarded-Proto, have no meaning to the parser.",
        get(b"/", b"Host: a", b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off"),
        SERVED,
        "They are given to the application as they came.",
    ),
)  # fmt: skip

DEVIATIONS = (
    Deviation(
        ("gunicorn/invalid/006", "gunicorn/invalid/007", "gunicorn/invalid/008", "gunicorn/invalid/010",
         "gunicorn/invalid/011", "gunicorn/invalid/012", "gunicorn/invalid/017",
         "gunicorn/invalid/limit_header_default_01"),
        "too long for gunicorn's limits, or for those that the case sets",
        SERVED,
        "Limits are each server's own. Ours count the request line, the whole head and the number of fields: "
        "[limits.md](limits.md).",
    ),
    Deviation(
        ("gunicorn/invalid/003c",),
        "a method in lower case, or one of less than three characters, is refused",
        SERVED,
        "A method is any token (RFC 9110 §9.1).",
    ),
    Deviation(
        ("gunicorn/valid/031compat2",),
        "a method in lower case is given as it came, when a setting allows it",
        SERVED,
        "It is given in upper case, as ASGI asks.",
    ),
    Deviation(
        ("gunicorn/valid/040",),
        "fields with `_` in their names are dropped",
        SERVED,
        "ASGI gives names as bytes, where `_` and `-` differ.",
    ),
    Deviation(
        ("gunicorn/invalid/040", "gunicorn/invalid/chunked_07"),
        "fields with `_` in their names are refused, when a setting says so",
        SERVED,
        "As above.",
    ),
    Deviation(
        ("gunicorn/invalid/019",),
        "contradicting fields of a proxy are refused, when it is trusted",
        SERVED,
        "They have no meaning to the parser.",
    ),
    Deviation(
        ("gunicorn/invalid/041",),
        "a repeated Content-Type is refused",
        SERVED,
        "It does not frame the message: the application decides.",
    ),
    Deviation(
        ("gunicorn/invalid/rfc9110_trailer_forbidden_*",),
        "a trailer whose name must not be one (RFC 9110 §6.5.1) is refused",
        SERVED,
        "All trailers are dropped, so it has no effect.",
    ),
    Deviation(
        ("gunicorn/valid/005", "llhttp/uri/fragment-in-uri"),
        "a fragment in the target is taken",
        400,
        "A target has none (RFC 9112 §3.2); whether it belongs to the path is read differently.",
    ),
    Deviation(
        ("gunicorn/valid/025", "gunicorn/valid/025_line", "gunicorn/valid/029", "gunicorn/valid/030",
         "gunicorn/valid/rfc9112_smuggle_gzip_chunked_01", "gunicorn/valid/rfc9112_smuggle_te_identity_chunked_01",
         "llhttp/transfer-encoding/post-with-chunked-as-last-transfer-encoding",
         "llhttp/transfer-encoding/post-with-chunked-as-last-transfer-encoding-multiple-headers"),
        "codings before `chunked` are taken, and their body is given as it came",
        400,
        "No coding but chunked is undone here (RFC 9112 §6.1); `identity` is none any more.",
    ),
    Deviation(
        ("gunicorn/valid/028",),
        "a space before the colon is taken, when a setting allows it",
        400,
        "RFC 9112 §5.1 asks for 400.",
    ),
    Deviation(
        ("gunicorn/valid/compat_obs_fold", "gunicorn/valid/compat_obs_fold_huge"),
        "a folded field is taken, when a setting allows it",
        400,
        "RFC 9112 §5.2 lets it be refused.",
    ),
    Deviation(
        ("gunicorn/valid/pp_0[1245]",),
        "a line of the PROXY protocol comes before the request, as a setting says",
        400,
        "Without one it is no request.",
    ),
    Deviation(
        ("gunicorn/valid/099",),
        "a body that ends before its length is given as it is",
        400,
        "It is incomplete (RFC 9112 §8): the application sees a disconnect.",
    ),
    Deviation(
        ("gunicorn/valid/rfc9112_target_absolute_userinfo_01", "llhttp/uri/host-port-and-basic-auth"),
        "a user and a password in the target are taken",
        400,
        "RFC 9110 §4.2.4.",
    ),
    Deviation(
        ("gunicorn/valid/rfc9112_target_authority_*", "llhttp/method/connect-*", "llhttp/uri/underscore-in-hostname"),
        "CONNECT is parsed",
        501,
        "A server of applications is no proxy.",
    ),
    Deviation(
        ("llhttp/invalid/http-protocol-and-announce-method",),
        "a method of RTSP is refused with HTTP",
        SERVED,
        "A method is any token.",
    ),
    Deviation(
        ("llhttp/method/source-request-with-ice", "llhttp/method/options-request-with-rtsp",
         "llhttp/method/announce-request-with-rtsp"),
        "requests of other protocols, `ICE/1.0` and `RTSP/1.0`, are taken",
        400,
        "Only HTTP is spoken.",
    ),
    Deviation(
        ("llhttp/method/m-search-request",),
        "`*` is a target for M-SEARCH",
        400,
        "`*` is for OPTIONS (RFC 9112 §3.2.4); M-SEARCH is for SSDP, which comes over UDP.",
    ),
    Deviation(
        ("llhttp/sample/no-http-version",),
        "HTTP/0.9 is taken",
        400,
        "Nobody speaks it any more, and its answers have no head.",
    ),
    Deviation(
        ("llhttp/transfer-encoding/no-extension-after-semicolon",),
        "`;` without an extension behind a chunk's size is refused",
        SERVED,
        "Extensions are skipped up to the end of the line, whatever they are.",
    ),
    Deviation(
        ("llhttp/content-length/content-length-reset-when-no-body-is-received",),
        "bodies are left out, as the parser is told to",
        400,
        "A mode for answers to HEAD; a server's requests have the bodies that they announce.",
    ),
    Deviation(
        ("llhttp/connection/resetting-flags-when-keep-alive-is-off-1-0-lenient",
         "llhttp/connection/crlf-between-requests-explicit-close-lenient"),
        "bytes behind a request that closes the connection are parsed, in a lenient mode",
        SERVED,
        "The first request is served, the connection closed (RFC 9112 §9.6); the rest is not looked at.",
    ),
    Deviation(
        ("llhttp/lenient-version/invalid-http-version-lenient",),
        "version 5.6 is taken, in a lenient mode",
        505,
        "RFC 9110 §15.6.6.",
    ),
    Deviation(
        ("llhttp/connection/multiple-tokens-with-folding",
         "llhttp/connection/multiple-tokens-with-folding-lws-and-crlf",
         "llhttp/connection/invalid-whitespace-token-with-connection-header-field-lenient",
         "llhttp/content-length/invalid-whitespace-token-with-content-length-header-field-lenient",
         "llhttp/content-length/missing-crlf-crlf-before-body-lenient",
         "llhttp/invalid/headers-separated-by-dummy-characters-lenient", "llhttp/invalid/only-lfs-present-lenient",
         "llhttp/invalid/spaces-before-headers-lenient",
         "llhttp/lenient-header-value-relaxed/control-char-in-header-value-relaxed",
         "llhttp/lenient-headers/header-value-lenient", "llhttp/lenient-headers/second-request-header-value-lenient",
         "llhttp/sample/line-folding-in-header-value-with-crlf", "llhttp/sample/x-ssl-nonsense",
         "llhttp/transfer-encoding/chunk-header-not-terminated-by-crlf-lenient",
         "llhttp/transfer-encoding/space-after-chunk-header-lenient"),
        "folded fields, control characters, spaces before colons and behind sizes, and line ends but CR LF are taken, "
        "in a lenient mode",
        400,
        "There are no lenient modes here.",
    ),
)  # fmt: skip

DIFFERENCES = (
    Difference(
        "a LF alone",
        re.compile(rb"(?<!\r)\n"),
        b"GET / HTTP/1.1\nHost: a\n\n",
        "ends a line",
        400,
        "RFC 9112 §2.2 allows both.",
    ),
    Difference(
        "folded fields",
        re.compile(rb"\n[ \t]"),
        get(b"/", b"Host: a", b"A: b", b" c"),
        "unfolded",
        400,
        "RFC 9112 §5.2 allows both.",
    ),
    Difference(
        "control characters in values and extensions",
        re.compile(rb"[\x01-\x08\x0b-\x1f\x7f](?!\n)"),
        get(b"/", b"Host: a", b"A: b\x01"),
        "taken",
        400,
        "RFC 9110 §5.5.",
    ),
    Difference(
        "versions but 1.0 and 1.1",
        re.compile(rb" HTTP/(?!1\.[01]\r\n)\d\.\d\r?\n"),
        get(b"/", b"Host: a", version=b"2.0"),
        "all of the form digit, dot, digit are taken",
        505,
        "RFC 9110 §2.5 and §15.6.6.",
    ),
    Difference(
        "values of Host",
        re.compile(
            rb"(?i)\nhost:(?![ \t]*(?:\[::1\]|(?:[a-z0-9_.~!$&'()*+;=-]|%[0-9a-f]{2})+)(?::\d{0,4})?[ \t]*\r\n)"
        ),
        get(b"/", b"Host: a/b"),
        "any",
        400,
        "RFC 9112 §3.2 asks to refuse what is no host.",
    ),
    Difference(
        "forms of the target",
re.compile(
            rb"(?m)^(?:(?!OPTIONS )[^ \r\n]+ \* |[^ \r\n]+ (?!/[^# ]* |\* |"
            rb"(?i:https?)://(?:[a-zA-Z0-9.]+|\[::1\])(?::\d{0,4})?(?:[/?][^# ]*)? ))[^\r\n]*HTTP/"
        ),
        get(b"foo", b"Host: a"),
        "any visible characters",
        400,
        "RFC 9112 §3.2.",
    ),
    Difference(
        "CONNECT",
        re.compile(rb"(?i)CONNECT [^\r\n]*HTTP/"),
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "read, for the application to answer",
        501,
        "A server of applications is no proxy.",
    ),
    Difference(
        "HEAD in another case",
        re.compile(rb"(?!HEAD)(?i:HEAD) [^\r\n]*HTTP/"),
        b"head / HTTP/1.1\r\n" + HOST + b"\r\n",
        "a method like others",
        501,
        "The application is given methods in upper case.",
    ),
    Difference(
        "Content-Length repeated, as a list, or with more than 18 digits",
        re.compile(rb"(?is)content-length:(?:[^\r\n]*,|.*\ncontent-length:|[ \t]*\d{19})"),
        get(b"/", b"Host: a", b"Content-Length: 1, 1") + b"a",
        "equal values are one, up to 20 digits",
        400,
        "RFC 9112 §6.3 allows both.",
    ),
    Difference(
        "Content-Length with Transfer-Encoding",
        re.compile(rb"(?is)\ncontent-length:.*\ntransfer-encoding:|\ntransfer-encoding:.*\ncontent-length:"),
        chunked(b"0\r\n\r\n", b"Content-Length: 5"),
        "the length is ignored",
        400,
        "RFC 9112 §6.1 allows both.",
    ),
    Difference(
        "Transfer-Encoding in HTTP/1.0",
        re.compile(rb"(?is)HTTP/1\.0\r\n.*transfer-encoding:"),
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "taken",
        400,
        "RFC 9112 §6.1: the framing is to be treated as faulty.",
    ),
    Difference(
        "keeping a connection of HTTP/1.0",
        re.compile(rb"(?is)HTTP/1\.0\r\n.*keep-alive"),
        get(b"/", b"Connection: keep-alive", version=b"1.0") + get(b"/", version=b"1.0"),
        "never",
        SERVED,
        "RFC 9112 §9.3 allows it when the client asks.",
    ),
    Difference(
        "an empty line before a request",
        re.compile(rb"^\r|\r\n\r\n\r|[^\n]\r\n(?:[^ \r\n]+ [^\r\n]*HTTP/|$)"),
        b"\r\n" + get(b"/", b"Host: a"),
        "refused",
        SERVED,
        "RFC 9112 §2.2 asks to skip one.",
    ),
    Difference(
        "spaces behind a chunk's size, and more than 16 digits of it",
        re.compile(rb"\n[0-9a-fA-F]+(?:;[^\r\n]*)?[ \t]+\r\n|\n[0-9a-fA-F]{17}"),
        chunked(b"1 \r\na\r\n0\r\n\r\n"),
        "taken, up to 20 digits",
        400,
        "RFC 9112 §7.1 has neither spaces nor a use for so much.",
    ),
    Difference(
        "unknown expectations",
        re.compile(rb"(?i)\nexpect:[ \t]*(?!100-continue[ \t]*\r\n)"),
        get(b"/", b"Host: a", b"Expect: magic"),
        "ignored",
        417,
        "RFC 9110 §10.1.1.",
    ),
    Difference(
        "the number of fields",
        re.compile(rb"(?:\r\n[^\r\n]+){101}"),
        get(b"/", b"Host: a", *[b"A: b"] * 100),
        "any",
        431,
        "[limits.md](limits.md).",
    ),
)  # fmt: skip
