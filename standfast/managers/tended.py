"""What drivers have in common whose queue managers are started, stopped and watched by commands.

The commands are run by the queue manager's minder, never here. `last_answer` reads what the status command said last;
an answer counts for as long as the next one may take.
"""

import asyncio
import difflib
import os
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from standfast.errors import MachineError
from standfast.managers.asking import ask
from standfast.ports import STATUS_FILE, NotReady, Observed, Place, Remark, Tended, boottime_ns

PLACEHOLDERS = ("name", "data_dir", "run_dir", "address", "port")
"""Fields of a Place that `{...}` stands for in the words of a command."""
_PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z_]+)\}")
_NS_PER_S = 1_000_000_000
_SPARE_S = 1.0
"""How much later than due an answer may come on a busy machine."""
_TOLD = 200


def filled(words: Sequence[str], place: Place) -> tuple[str, ...]:
    """The words of a command with what the placeholders stand for."""
    known = {name: str(getattr(place, name)) for name in PLACEHOLDERS}
    return tuple(_PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), word) for word in words)


def placeholder_problems(option: str, words: Sequence[str]) -> list[str]:
    """A sentence for each `{...}` that stands for nothing."""
    found = []
    for name in (name for word in words for name in _PLACEHOLDER.findall(word)):
        if name not in PLACEHOLDERS:
            near = difflib.get_close_matches(name, PLACEHOLDERS, n=1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(PLACEHOLDERS)}."
            found.append(f"option {option!r}: {{{name}}} stands for nothing: {hint}")
    return found


def one_address_remarks(option: str, words: Sequence[str], place: Place) -> list[Remark]:
    """Whether it may listen on this member's address alone, while clients come by another one."""
    if place.everywhere and any("address" in _PLACEHOLDER.findall(word) for word in words):
        text = "{address} is this member's own, and clients come by a virtual IP: have it listen on 0.0.0.0 or ::."
        return [Remark(f"option {option!r}: {text}", severe=False)]
    return []


def own_disk_problems(option: str, words: Sequence[str], place: Place) -> list[str]:
    """A sentence when the program lies on the queue manager's storage: looking for it there could hang the daemon."""
    if words and Path(filled(words[:1], place)[0]).is_relative_to(place.data_dir):
        return [
            f"option {option!r}: {words[0]} is on the queue manager's storage: programs belong on each member's disk."
        ]
    return []


async def user_remarks(user: str) -> list[Remark]:
    """Whether commands can run as that user here; empty: as the member."""
    if not user:
        return []
    answer = await ask("id", "-u", user)
    if answer.code != 0:
        return [Remark(f"user {user!r} does not exist here: create it with the same number on all data members.")]
    if os.geteuid() not in (0, int(answer.output)):
        return [Remark(f"the member can not become user {user!r}: run it as root, or as that user.")]
    return []


def require_program(word: str, option: str) -> str:
    """The program as a path; raises MachineError when it is not on this machine."""
    if "/" not in word:
        on_path = shutil.which(word)
        if on_path is None:
            raise MachineError(f"The program {word} of option {option!r} is not on PATH. Install it, or give its path.")
        return on_path
    if not (Path(word).is_file() and os.access(word, os.X_OK)):
        raise MachineError(
            f"The program {word} of option {option!r} is not on this machine, or can not be executed. Programs belong "
            "on each data member's own disk, not on the queue manager's storage."
        )
    return word


def last_answer(place: Place, tended: Tended) -> Observed:
    """What the status command said last; raises NotReady when that is nothing, or too long ago."""
    try:
        found = msgspec.json.decode((place.run_dir / STATUS_FILE).read_bytes(), type=Observed)
    except (OSError, msgspec.MsgspecError) as error:
        raise NotReady(f"there is no answer of the status command: {error}") from error
    if not found.at_ns:
        raise NotReady("the status command has not answered yet")
    age_s = (boottime_ns() - found.at_ns) / _NS_PER_S
    if age_s > tended.every_s + tended.deadline_s + _SPARE_S:
        raise NotReady(f"the last answer of the status command is {age_s:.1f} s old")
    return found


def require_serving(place: Place, tended: Tended) -> Observed:
    """The same; raises NotReady unless it says that the queue manager serves."""
    found = last_answer(place, tended)
    if found.code not in tended.serves:
        raise NotReady(f"the status command answered {found.code}: {found.output[-_TOLD:]}")
    return found


async def require_port(place: Place, timeout_s: float) -> None:
    """Raises NotReady unless the port accepts a connection, which the kernel may do in the name of a hung process.

    Every second for each of perhaps hundreds of them: a bare socket costs half of what a stream does.
    """
    try:
        async with asyncio.timeout(timeout_s):
            family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
                await asyncio.get_running_loop().sock_connect(probe, (place.address, place.port))
    except TimeoutError:
        raise NotReady(f"no answer on {place.address}:{place.port} within {timeout_s:g} s") from None
    except OSError as error:
        raise NotReady(f"{place.address}:{place.port}: {error}") from error
