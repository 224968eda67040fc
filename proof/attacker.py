"""Runs one attack against a port of this machine: python -m proof.attacker NAME PORT SECONDS."""

from __future__ import annotations

import json
import sys

from bench.environments import raise_descriptors

from proof.assault import Assault, Plan
from proof.assaults import ATTACKS


def main(name: str, port: str, seconds: str) -> int:
    """Attack, and print how many connections were opened, and how many could not be."""
    raise_descriptors()
    (force,) = (attack.force for attack in ATTACKS if attack.name == name)
    if not isinstance(force, Plan):
        raise SystemExit(f"{name} is made by a program of its own")
    assault = Assault(force, int(port))
    assault.run(float(seconds))
    print(json.dumps({"opened": assault.opened, "refused": assault.refused}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
