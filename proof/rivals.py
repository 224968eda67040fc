"""Makes the attacks on other servers, too, for the table of docs/security/attacks.md: python -m proof.rivals.

No verdicts come of it. Each server runs as its ordinary command has it, with its own defaults.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.environments import credentials, default_python, install

from proof.assaults import ATTACKS, H2, PROXY, TLS, Attack
from proof.attacks import WHOLE, attacks, fetch_corpora, figure, keep
from proof.besieged import Command, own_command
from proof.table import RESULTS

OWN = "tricorn"
PACKAGES = {"uvicorn": ("uvicorn[standard]",), "hypercorn": ("hypercorn[uvloop]",)}
"""The servers, and what their environments have."""

ENVIRONMENTS = {"hypercorn": "hypercorn-uvloop"}
"""The environments whose names are not their servers', as the benchmarks have them."""


def programs(server: str) -> Path:
    """Return the folder of a server's programs, installed if it was not."""
    return install(default_python(), ENVIRONMENTS.get(server, server), PACKAGES[server])


def uvicorn(attack: Attack, port: int, _: int) -> list[str]:
    """Return uvicorn's command."""
    options = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    if attack.speaks == TLS:
        folder = credentials()
        options += [
            "--ssl-certfile",
            str(folder / "certificate.pem"),
            "--ssl-keyfile",
            str(folder / "key.pem"),
        ]
    return [str(programs("uvicorn") / "uvicorn"), "proof.attack_app:app", *options]


def hypercorn(attack: Attack, port: int, _: int) -> list[str]:
    """Return hypercorn's command."""
    options = ["--bind", f"127.0.0.1:{port}", "--worker-class", "uvloop", "--log-level", "warning"]
    if attack.speaks == TLS:
        folder = credentials()
        options += ["--certfile", str(folder / "certificate.pem"), "--keyfile", str(folder / "key.pem")]
    return [str(programs("hypercorn") / "hypercorn"), *options, "proof.attack_app:app"]


RIVALS: dict[str, Command] = {"uvicorn": uvicorn, "hypercorn": hypercorn}


def command_of(server: str, attack: Attack) -> Command:
    """Return what makes a server's command for an attack."""
    return own_command("uvloop", ()) if server == OWN else RIVALS[server]


def wanted(servers: Sequence[str], names: Sequence[str]) -> list[Attack]:
    """Return the attacks that all servers can be under: no options of ours, and what they speak."""
    spoken = {PROXY} | ({H2} if "uvicorn" in servers else set())
    return [
        attack
        for attack in ATTACKS
        if attack.speaks not in spoken and not attack.options and (not names or attack.name in names)
    ]


def main(words: Sequence[str]) -> int:
    """Make the attacks, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "attacks", nargs="*", metavar="ATTACK", help="default: all that every server can be under"
    )
    parser.add_argument("--servers", default="tricorn,uvicorn,hypercorn", help="with commas")
    given = parser.parse_args(words)
    servers = given.servers.split(",")
    fetch_corpora()
    for server in servers:
        if server in PACKAGES:
            programs(server)  # before attacks that begin at once ask for it at once
    commands: dict[str, Callable[[Attack], Command]] = {each: partial(command_of, each) for each in servers}
    rows = []
    for row in attacks(commands, wanted(servers, given.attacks), WHOLE):
        print(row.server, row.attack.name, figure(row.found), flush=True)
        rows.append(row)
    keep(rows, RESULTS / "rivals.json", shlex.join(["python", "-m", "proof.rivals", *words]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
