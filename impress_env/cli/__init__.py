"""The command line, `impress`: each command is a thin edge over a library function.

Errors of ours end in one clear line and exit status 2; findings that fail a check (certify, replay) exit with 1.
"""

from __future__ import annotations

import sys

from cyclopts import CycloptsError

from impress_env.cli.app import app
from impress_env.errors import ImpressError


def main() -> None:
    """Run the command line."""
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command = " ".join(("impress", *(error.command_chain or ())))
        print(f"impress: {' '.join(str(error).split()).rstrip('.')}; see {command} --help", file=sys.stderr)
        raise SystemExit(2) from None
    except ImpressError as error:
        print(f"impress: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        print("impress: stopped", file=sys.stderr)
        raise SystemExit(130) from None


__all__ = ["main"]
