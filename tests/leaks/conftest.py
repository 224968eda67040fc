"""The leak tests use the black-box tests' servers and clients."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "asgi"))
