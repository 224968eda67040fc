"""Runs one attack against a port of this machine: python -m proof.attacker NAME PORT SECONDS."""

from __future__ import annotations

import json
import signal
import sys

from bench.environments import raise_descriptors

from proof.assault import Assault, Plan
from proof.assaults import ATTACKS


def main(name: str, port: str, seconds: str) -> int:
    """Attack, until told to end if that is sooner, and print how many connections were opened, could not be, and were
    ended by the server.
    """
    raise_descriptors()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    (force,) = (attack.force for attack in ATTACKS if attack.name == name)
    if not isinstance(force, Plan):
        raise SystemExit(f"{name} is made by a program of its own")
    assault = Assault(force, int(port))
    try:
        assault.run(float(seconds))
    finally:
        counts = {"opened": assault.opened, "refused": assault.refused, "ended": assault.ended}
        print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
