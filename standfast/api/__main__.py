"""`python -m standfast.api`: what the daemon starts. Not for the command line of people."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from standfast.api.limits import humble


def main() -> int:
    """Serve; the exit code is that of the error."""
    parser = argparse.ArgumentParser(prog="standfast.api")
    for name in ("cluster", "member", "address"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    for name in ("socket", "trust", "state-dir"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--log-format", default="console")
    given = vars(parser.parse_args())
    humble()
    # Signals to the daemon's group are the daemon's affair: it ends this process when its own work is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from standfast.api.server import serve  # noqa: PLC0415 - only after it is humble: loading is the heaviest part
    from standfast.errors import StandfastError  # noqa: PLC0415
    from standfast.member.logs import set_up  # noqa: PLC0415

    set_up(f"{given['member']}/api", given.pop("log_format"))
    try:
        asyncio.run(serve(**given))
    except StandfastError as error:
        print(f"standfast.api: {error}", file=sys.stderr)  # noqa: T201 - the daemon's log
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
