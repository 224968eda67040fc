"""Requests from a seed: most of their parts are usual, some are odd, and some bytes are changed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

METHODS = (b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"PATCH")
ODD_METHODS = (b"get", b"head", b"CONNECT", b"M-SEARCH", b"X_Y", b"", b"G(T", b"G\tT", b"!#$%&'*+.^`|~")
TARGETS = (
    b"/",
    b"/a?b=c",
    b"/%41%zz?",
    b"*",
    b"http://a.example/b?c",
    b"https://[::1]:8000",
    b"/a//../b",
    b"/?a?b",
)
ODD_TARGETS = (
    b"",
    b"a",
    b"/a b",
    b"/a#b",
    b"http://",
    b"ftp://a/b",
    b"//a",
    b"/\xc3\xa9",
    b"/\x7f",
    b"http://u@a/",
    b"?a",
)
VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")
ODD_VERSIONS = (b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/11", b"HTTP/1.1 ", b"", b"ICE/1.0")
HOSTS = (b"a", b"a.example:80", b"127.0.0.1", b"[::1]:1", b"a_b", b"A%41")
ODD_HOSTS = (b"", b"a b", b"a/b", b"u@a", b"[::1", b"a:b", b"a,b", b":80", b"a:70000", b"a#")
FIELDS = (
    b"Accept: */*", b"Connection: keep-alive", b"X-Empty:", b"X-Space: \t a  b \t", b"Cookie: a=b",
    b"TE: trailers",
    b"X-Text: \xe9\xff", b"Connection: Upgrade", b"Upgrade: websocket", b"A_B: c", b"accept:text/html", b"X-Colon: a:b",
    b"!#$%&'*+-.^_`|~1: a",
)  # fmt: skip
ODD_FIELDS = (
    b"Connection: close", b"Connection: a, close", b"Expect: 100-continue", b"Expect: magic", b"A : b", b"A", b": b",
    b" folded", b"\tfolded", b"A\0: b", b"A: \0", b"A: b\rc", b"A: \x01", b"A: \x7f", b"A(: b", b"\xe9: b", b"A: \x0b",
    b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Host: b", b"A: b\n c", b"A: b\nC: d",
)  # fmt: skip
LENGTHS = (
    b"+5",
    b"-5",
    b"5, 5",
    b"5,6",
    b"0x5",
    b"",
    b"5 5",
    b"05",
    b"99999999999999999999",
    b"5.0",
    b"\x0b5",
    b"5;",
)
CODINGS = (
    b"Chunked",
    b"gzip, chunked",
    b"chunked, chunked",
    b"identity",
    b"",
    b"chunked;q=1",
    b"\x0bchunked",
    b"x",
)
SIZES = (b"%x", b"%X", b"00%x", b"%x;a=b", b"%x;a", b'%x;a="b"', b"%x; a=b")
ODD_SIZES = (
    b"%x ",
    b" %x",
    b"0x%x",
    b"-%x",
    b"+%x",
    b"%x;",
    b"%x\t",
    b"%x;\x01",
    b"%x,",
    b"",
    b"g",
    b"0000000000000000%x",
)
TRAILERS = (b"A: b", b"X-Sum: 1", b"Content-Length: 5")
ODD_TRAILERS = (b"A : b", b" A: b", b"A", b"A: \x01", b": b", b"A: b\n C: d")
STRANGE = b"\r\n\t\0 :;,_-#/\x7f\x80\xff"


class _Maker:
    """Makes one run of requests; ``odd`` is how likely each part is to be so."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.odd = random.choice((0.0, 0.0, 0.02, 0.1))

    def pick(self, usual: tuple[bytes, ...], odd: tuple[bytes, ...]) -> bytes:
        return self.random.choice(odd if self.random.random() < self.odd else usual)

    def end(self) -> bytes:
        return self.pick((b"\r\n",), (b"\n", b"\r", b"\r\r\n", b" \r\n"))

    def head(self, more: list[bytes]) -> bytes:
        separator = self.pick((b" ",), (b"  ", b"\t", b""))
        first = [
            self.pick(METHODS, ODD_METHODS),
            self.pick(TARGETS, ODD_TARGETS),
            self.pick(VERSIONS, ODD_VERSIONS),
        ]
        lines = [self.pick(FIELDS, ODD_FIELDS) for _ in range(self.random.randrange(4))]
        if self.random.random() > self.odd / 2:
            lines.append(b"Host: " + self.pick(HOSTS, ODD_HOSTS))
        lines += more
        self.random.shuffle(lines)
        lines.insert(0, separator.join(first))
        before = self.pick((b"",), (b"\r\n", b"\r\n\r\n", b"\n", b" "))
        return before + b"".join(line + self.end() for line in lines) + self.end()

    def request(self) -> bytes:
        kind: Callable[[], bytes] = self.random.choice((self.plain, self.with_length, self.chunked))
        return kind()

    def plain(self) -> bytes:
        return self.head([])

    def content(self) -> bytes:
        return self.random.choice(
            (b"a", b"hello", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"x" * 300)
        )

    def with_length(self) -> bytes:
        content = self.content()
        length = self.pick((b"%d" % len(content), b"0%d" % len(content)), LENGTHS)
        return self.head([b"Content-Length: " + length]) + content

    def chunked(self) -> bytes:
        coding = self.pick((b"chunked",), CODINGS)
        parts = [self.chunk() for _ in range(self.random.randrange(4))]
        trailers = [
            self.pick(TRAILERS, ODD_TRAILERS) + self.end() for _ in range(self.random.choice((0, 0, 1, 2)))
        ]
        last = self.pick((b"0", b"000", b"0;a=b"), (b"0 ", b"-0", b"")) + self.end()
        return self.head([b"Transfer-Encoding: " + coding]) + b"".join([*parts, last, *trailers, self.end()])

    def chunk(self) -> bytes:
        content = self.content()
        size = self.pick(SIZES, ODD_SIZES)
        return (size % len(content) if b"%" in size else size) + self.end() + content + self.end()


def _changed(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data))
    byte = bytes([random.choice((random.choice(STRANGE), random.randrange(256)))])
    how = random.randrange(5)
    if how == 0:
        return data[:at] + data[at + 1 :]
    if how == 1:
        return data[:at]
    if how == 2:
        return data[:at] + byte + data[at + 1 :]
    if how == 3:
        return data[:at] + data[max(0, at - 5) :]
    return data[:at] + byte + data[at:]


def generated(seed: int, count: int) -> Iterator[bytes]:
    """Yield so many runs of one to three requests; the same for the same seed."""
    for number in range(count):
        random = Random(f"{seed}/{number}")
        maker = _Maker(random)
        data = b"".join(maker.request() for _ in range(random.choice((1, 1, 2, 3))))
        if random.random() < 0.3:
            data = _changed(random, data)
        yield data or b"x"
