"""The fuzzing client of Autobahn's test suite, run by the Python of `tools/autobahn` with the options of `kosoku`."""

import hashlib
import sys

from kosoku import _caseindex, _cli


class Digest:
    """SHA-1 of what a case has sent: some compare texts, as Python 2 let them."""

    def __init__(self) -> None:
        self._digest = hashlib.sha1(usedforsecurity=False)

    def update(self, data: str | bytes) -> None:
        self._digest.update(data.encode() if isinstance(data, str) else data)

    def digest(self) -> bytes:
        return self._digest.digest()


class Hashes:
    """What those cases know as the module hashlib."""

    sha1 = Digest


_caseindex.initialize_shims()
import case12_x_x  # noqa: E402  # found on the path from now on

case12_x_x.hashlib = Hashes
sys.exit(_cli.main())
