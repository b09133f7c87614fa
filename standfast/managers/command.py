"""Anything that commands start, stop and judge.

Guarantees: what the start command starts is ended as a whole, also what detached itself. A start that leaves no process
on this machine (because it had a service manager or a container daemon start one) counts as failed, since nothing could
end that when the lease runs out.

Does not guarantee anything for acknowledged messages: it knows nothing of what it runs, so that `durability` says
UNKNOWN. Without a status command it knows only whether the port accepts connections, which the kernel does for a hung
process too.

Commands are lists of words, executed without a shell, in the queue manager's cgroup and with its run directory as
working directory. In every word {name}, {data_dir}, {run_dir}, {address} and {port} stand for what they say. Programs
belong on each data member's own disk.

Options
    start              command that starts the queue manager; must be given
    foreground         true: the start command does not return, it is the queue manager; default false: it returns
    started            exit codes of `start` that mean that it was started; default [0]
    status             command that ends with 0 when the queue manager serves; default: nobody asks
    serves             exit codes of `status` that mean so; default [0]
    stopped            exit codes of `status` that mean that it does not run, which is its end; default [3] as of LSB
    status_every_s     pause between two questions; default 5
    status_deadline_s  longest time for an answer; default 5
    stop               command for a graceful stop; default: SIGTERM. It has 70 % of the time, then SIGTERM is sent, and
                       after 90 % what is left is killed
    check_port         whether the port must accept connections; default: when there is no status command
    run_as             as whom the commands run; default: as the member
    environment        variables for the commands
    version            command that prints the version of what is run; default: not known
"""

import re
from typing import Annotated

from msgspec import Meta, Struct

from standfast.errors import MachineError
from standfast.managers.asking import ask
from standfast.managers.options import option_problems, read_options
from standfast.managers.tended import (
    filled,
    one_address_remarks,
    own_disk_problems,
    placeholder_problems,
    require_port,
    require_program,
    require_serving,
    user_remarks,
)
from standfast.ports import Durability, Launch, Place, Remark, StopStage, Tended

_COMMANDS = ("start", "status", "stop")
_ALL_COMMANDS = (*_COMMANDS, "version")
_STOP_SHARE = 0.7
_SIGNAL_SHARE = 0.2
"""What is left of the time after both belongs to SIGKILL."""

Words = tuple[str, ...]
Seconds = Annotated[float, Meta(gt=0)]


class CommandOptions(Struct, frozen=True, kw_only=True):
    """What the cluster file may set; see the module's docstring."""

    start: Words = ()
    foreground: bool = False
    started: tuple[int, ...] = (0,)
    status: Words = ()
    serves: tuple[int, ...] = (0,)
    stopped: tuple[int, ...] = (3,)
    status_every_s: Seconds = 5.0
    status_deadline_s: Seconds = 5.0
    stop: Words = ()
    check_port: bool | None = None
    run_as: str = ""
    environment: dict[str, str] = {}
    version: Words = ()


class Command:
    """Driver for commands; see the module's docstring."""

    kind = "command"
    durability = Durability.UNKNOWN
    durability_note = "Standfast does not know what it runs: what an acknowledgement is worth is up to that."
    option_names = frozenset(CommandOptions.__struct_fields__)
    programs: tuple[str, ...] = ()

    def problems(self, place: Place) -> list[str]:
        """What is wrong with the options, a sentence each."""
        found = option_problems(place.options, CommandOptions, {})
        if found:
            return found
        options = read_options(place.options, CommandOptions)
        if not options.start:
            found.append("option 'start' is missing: the command that starts the queue manager, as a list of words.")
        for name in _ALL_COMMANDS:
            found += placeholder_problems(name, getattr(options, name))
            found += own_disk_problems(name, getattr(options, name), place)
        overlap = sorted(set(options.serves) & set(options.stopped))
        if overlap:
            found.append(f"options 'serves' and 'stopped' both hold {overlap[0]}: a code can mean one of them only.")
        return found

    def launch(self, place: Place) -> Launch:
        """Its commands; raises MachineError when a program is missing."""
        options = read_options(place.options, CommandOptions)
        start, status, stop = (_command(name, getattr(options, name), place) for name in _COMMANDS)
        plain = options.foreground and not status and not stop and not options.run_as
        return Launch(
            argv=start,
            env=options.environment,
            tended=None if plain else _tended(options, status, stop),
        )

    async def ready(self, place: Place, timeout_s: float) -> None:
        """Return when the status command says that it serves, and the port is open where that counts."""
        options = read_options(place.options, CommandOptions)
        if options.status:
            require_serving(place, _tended(options, options.status, ()))
        if options.check_port if options.check_port is not None else not options.status:
            await require_port(place, timeout_s)

    async def version(self, place: Place) -> str:
        """What the version command prints; "unknown" without one. Raises MachineError when it prints no number."""
        words = _command("version", read_options(place.options, CommandOptions).version, place)
        if not words:
            return "unknown"
        found = re.search(r"\d+(\.\w+)*", (await ask(*words)).output)
        if found is None:
            raise MachineError(f"{' '.join(words)} (option 'version') printed no version.")
        return found[0]

    async def examine(self, place: Place) -> list[Remark]:
        """Whether its user can be become, and clients reach it."""
        options = read_options(place.options, CommandOptions)
        return await user_remarks(options.run_as) + one_address_remarks("start", options.start, place)


def _command(option: str, words: Words, place: Place) -> Words:
    if not words:
        return ()
    first, *rest = filled(words, place)
    return (require_program(first, option), *rest)


def _tended(options: CommandOptions, status: Words, stop: Words) -> Tended:
    stages: tuple[StopStage, ...] = (StopStage(share=_STOP_SHARE + _SIGNAL_SHARE),)
    if stop:
        stages = (StopStage(argv=stop, share=_STOP_SHARE), StopStage(share=_SIGNAL_SHARE))
    return Tended(
        foreground=options.foreground,
        started=options.started,
        status=status,
        serves=options.serves,
        stopped=options.stopped,
        every_s=options.status_every_s,
        deadline_s=options.status_deadline_s,
        stop=stages,
        user=options.run_as,
    )
