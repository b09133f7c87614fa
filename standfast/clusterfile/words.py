"""Names and ports: the rules that hold for those of members and of queue managers alike."""

import re
from collections.abc import Iterator

from standfast.clusterfile.places import Fault, Path, Problem

MAX_NAME = 63
MAX_PORT = 65_535
TCP_PORTS = ("store_client_port", "store_peer_port", "health_port", "api_port")
"""Of a member, on its first address."""
OPTIONAL_PORTS = frozenset({"api_port"})
"""Those of them that may be 0: nothing listens then."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\Z")


def name(path: Path, word: str) -> Iterator[Problem]:
    """A name that can be a file, a host and a key."""
    if not _NAME.match(word) or len(word) > MAX_NAME:
        yield Problem(
            Fault.BAD_NAME,
            path,
            f"the name {word!r} must be 1 to {MAX_NAME} letters, digits and dashes, without a dash at either end.",
        )


def port(path: Path, number: int) -> Iterator[Problem]:
    """A port number."""
    if not 1 <= number <= MAX_PORT:
        yield Problem(Fault.BAD_VALUE, path, f"{path[-1]} = {number} is no port: choose 1 to {MAX_PORT}.")
