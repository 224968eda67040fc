"""``python -m tricorn``: the same command as ``tricorn``."""

from tricorn.cli import main

if __name__ == "__main__":
    main(prog_name="python -m tricorn")
