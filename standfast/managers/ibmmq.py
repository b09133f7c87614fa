"""IBM MQ 9.x queue managers on shared or replicated storage.

Guarantees: a persistent message that MQ acknowledged (MQPUT outside syncpoint, or MQCMIT) is in its log on stable
storage. That rests on the log being below the storage's path, which is looked at before each start; one that is not
refuses it.

Does not guarantee anything for messages that are not persistent (DEFPSIST and the application decide): they are lost
with the queue manager. Its own locks (`master`, `active`) hold only on file systems that honour them; the storage's
claim comes before them.

Not offered: a multi-instance standby (`strmqm -x`). Such an instance waits for MQ's own locks and becomes active when
it gets them, without asking for a lease: two members could then serve in turn without a majority, and a member that was
told to go would not go. A start that finds itself a standby is ended and fails.

Assumes that MQ's programs are of the installation that the queue manager is associated with, and that user and group
mqm have the same numbers on all data members.

Options
    queue_manager   its name in MQ, if that is another than here
    installation    where MQ is installed; default /opt/mqm
    run_as          as whom its commands run; default "mqm"; empty: as the member
    create          true: create it when neither this machine nor the storage knows it; default false
    mqsc            MQSC file on each data member, carried out once, after the first start of all. It may hold
                    {secret:NAME}, for which a secret is made; a password in plain words is refused
    status_every_s  pause between two questions; default 5
    end             how to end it: "immediate" (default) or "controlled", which waits for applications
"""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from standfast.disposable import bare_python
from standfast.errors import MachineError
from standfast.managers import ibmmq_child
from standfast.managers.asking import ask
from standfast.managers.ibmmq_words import STATUS_CODES, Standing
from standfast.managers.options import option_problems, read_options
from standfast.managers.tended import require_port, require_program, require_serving, user_remarks
from standfast.ports import Durability, Launch, Place, Remark, StopStage, Tended

_NAME = re.compile(r"[A-Za-z0-9./_%]{1,48}")
_PROGRAMS = ("strmqm", "endmqm", "dspmq", "dspmqinf", "addmqinf", "runmqsc", "crtmqm")
_PLAIN_PASSWORD = re.compile(r"\b(\w*PASSW\w*|LDAPPWD|SSLKEYRPWD|KEYRPWD)\s*\(\s*'(?!\{secret:|\s*')", re.IGNORECASE)
_STANDBY = (
    "a standby becomes active by MQ's own locks, without a lease: two members could run it, or one that was told to go."
)
_REFUSED = {"multi_instance": _STANDBY, "standby": _STANDBY, "permit_standby": _STANDBY}
_ONE_ADDRESS = re.compile(r"\bDEF\w*\s+LISTENER\b[^;]*?\bIPADDR\s*\(\s*'?\s*([^\s')]+)", re.IGNORECASE)
_WAITS_SHARE, _IMMEDIATE_SHARE, _PREEMPTIVE_SHARE = 0.3, 0.6, 0.3
"""Shares of the time for a stop; the first takes from the second. The rest belongs to SIGKILL."""
_DEADLINE_S = 10.0


class IbmMqOptions(Struct, frozen=True, kw_only=True):
    """What the cluster file may set; see the module's docstring."""

    queue_manager: str = ""
    installation: str = "/opt/mqm"
    run_as: str = "mqm"
    create: bool = False
    mqsc: str = ""
    status_every_s: Annotated[float, Meta(gt=0)] = 5.0
    end: Literal["immediate", "controlled"] = "immediate"


class IbmMq:
    """Driver for IBM MQ; see the module's docstring."""

    kind = "ibmmq"
    durability = Durability.SYNCED
    durability_note = (
        "MQ has a persistent message in its log, on stable storage, before it acknowledges it; messages that are not "
        "persistent are lost with the queue manager."
    )
    option_names = frozenset(IbmMqOptions.__struct_fields__)
    programs: tuple[str, ...] = ()

    def problems(self, place: Place) -> list[str]:
        """What is wrong with the options, a sentence each."""
        found = option_problems(place.options, IbmMqOptions, _REFUSED)
        if found:
            return found
        options = read_options(place.options, IbmMqOptions)
        name = options.queue_manager or place.name
        if not _NAME.fullmatch(name):
            found.append(f"{name!r} is no name in MQ: 1 to 48 of A-Z a-z 0-9 . / _ %. Set option 'queue_manager'.")
        if options.mqsc and not Path(options.mqsc).is_absolute():
            found.append(f"option 'mqsc' = {options.mqsc!r} must be an absolute path, the same on each data member.")
        return found

    def launch(self, place: Place) -> Launch:
        """Its commands; raises MachineError when MQ is not installed."""
        options = read_options(place.options, IbmMqOptions)
        for program in _PROGRAMS:
            require_program(str(Path(options.installation, "bin", program)), "installation")
        return Launch(
            argv=_child("start", options, place), env={"LANG": "C", "LC_ALL": "C"}, tended=_tended(options, place)
        )

    async def ready(self, place: Place, timeout_s: float) -> None:
        """Return when dspmq says RUNNING, it answers PING QMGR, and its listener has the port."""
        options = read_options(place.options, IbmMqOptions)
        require_serving(place, _tended(options, place))
        await require_port(place, timeout_s)

    async def version(self, place: Place) -> str:
        """What dspmqver prints; raises MachineError when MQ is not installed."""
        options = read_options(place.options, IbmMqOptions)
        program = require_program(str(Path(options.installation, "bin", "dspmqver")), "installation")
        found = re.search(r"\d+(\.\d+)+", (await ask(program, "-b", "-f", "2")).output)
        if found is None:
            raise MachineError(f"{program} printed no version. Is it IBM MQ's?")
        return found[0]

    async def examine(self, place: Place) -> list[Remark]:
        """The user, and the first configuration."""
        options = read_options(place.options, IbmMqOptions)
        found = await user_remarks(options.run_as)
        if options.mqsc:
            answer = await ask("cat", options.mqsc)
            if answer.code != 0:
                found.append(Remark(f"option 'mqsc': {answer.output.strip()}", severe=options.create))
            elif plain := _PLAIN_PASSWORD.search(answer.output):
                text = f"{options.mqsc} holds a password ({plain[1]}): write {{secret:NAME}}, and one is made for you."
                found.append(Remark(text))
            elif place.everywhere and (bound := _ONE_ADDRESS.search(answer.output)):
                text = f"{options.mqsc} has a listener on {bound[1]} alone, and clients come by a virtual IP"
                found.append(Remark(f"{text}: leave IPADDR out."))
        return found


def _child(action: str, options: IbmMqOptions, place: Place) -> tuple[str, ...]:
    given = {
        "qm": options.queue_manager or place.name,
        "installation": options.installation,
        "data_dir": str(place.data_dir),
        "address": "" if place.everywhere else place.address,
        "port": place.port,
        "create": options.create,
        "mqsc": options.mqsc,
    }
    return bare_python(ibmmq_child.__name__, action, json.dumps(given))


def _tended(options: IbmMqOptions, place: Place) -> Tended:
    """`-r` lets reconnectable clients look for the next owner, which a plain end tells them not to."""
    qm, endmqm = options.queue_manager or place.name, str(Path(options.installation, "bin", "endmqm"))
    waits = _WAITS_SHARE if options.end == "controlled" else 0.0
    stages = [
        StopStage(argv=(endmqm, "-i", "-r", qm), share=_IMMEDIATE_SHARE - waits),
        StopStage(argv=(endmqm, "-p", "-r", qm), share=_PREEMPTIVE_SHARE),
    ]
    if waits:
        stages.insert(0, StopStage(argv=(endmqm, "-w", "-r", qm), share=waits))
    return Tended(
        status=_child("status", options, place),
        serves=(STATUS_CODES[Standing.SERVES],),
        stopped=(STATUS_CODES[Standing.GONE],),
        every_s=options.status_every_s,
        deadline_s=_DEADLINE_S,
        stop=tuple(stages),
        user=options.run_as,
    )
