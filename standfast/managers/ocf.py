"""Any OCF resource agent, such as those of Debian's package resource-agents.

Guarantees: as for `command`: whatever the agent's start leaves behind is ended as a whole when the lease runs out. An
agent that leaves no process is refused unless `processless` says that this is how it must be.

Does not guarantee anything for acknowledged messages: an agent does not say what it runs, so that `durability` says
UNKNOWN. Nor that what an agent sets up beside processes (an address, a mount, a state on another machine) is undone
when the lease runs out: only its stop does that, as far as it comes.

The agent gets the parameters as OCF_RESKEY_*, the time-outs of this queue manager as OCF_RESKEY_CRM_meta_timeout, and a
private, empty directory for its state files at each start (HA_RSCTMP, HA_VARRUN): what it wrote in a former life, which
ended without it, can not mislead it.

Options
    agent           such as "heartbeat:anything" or "ocf:heartbeat:anything"; must be given
    parameters      table of its parameters; in each value {name}, {data_dir}, {run_dir}, {address} and {port} stand for
                    what they say
    monitor_every_s pause between two monitors; default: what the agent advises
    check_port      whether the port must accept connections too; default false
    processless     true: the agent leaves no process, and runs for as long as its monitor says so; default false
    ocf_root        where agents are; default /usr/lib/ocf
"""

import difflib
import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from standfast.errors import MachineError
from standfast.managers.ocf_agent import CODES, SERVES, STARTED, STOPPED, agents_below, described, known
from standfast.managers.options import option_problems, read_options
from standfast.managers.tended import filled, last_answer, one_address_remarks, placeholder_problems, require_port
from standfast.ports import Durability, Launch, NotReady, Place, Remark, StopStage, Tended

_EVERY_S = 10.0
_MONITOR_S = 20.0
"""What agents advise for a monitor almost without exception."""
_STOP_SHARE = 0.8
_SIGNAL_SHARE = 0.1
_MS_PER_S = 1000
_STATE = "ocf"
_FRESH = 'rm -rf "$HA_RSCTMP" && mkdir -m 755 "$HA_RSCTMP" && exec "$@"'
_FEATURES = "3.0.14"
"""Of the cluster manager that an agent believes to be called by: Pacemaker 1.1.18, which has all of API 1.0."""


class OcfOptions(Struct, frozen=True, kw_only=True):
    """What the cluster file may set; see the module's docstring."""

    agent: str = ""
    parameters: dict[str, str | int | float | bool] = {}
    monitor_every_s: Annotated[float, Meta(gt=0)] | None = None
    check_port: bool = False
    processless: bool = False
    ocf_root: str = "/usr/lib/ocf"


class Ocf:
    """Driver for OCF resource agents; see the module's docstring."""

    kind = "ocf"
    durability = Durability.UNKNOWN
    durability_note = "An agent does not say what it runs: what an acknowledgement is worth is up to that."
    option_names = frozenset(OcfOptions.__struct_fields__)
    programs: tuple[str, ...] = ()

    def problems(self, place: Place) -> list[str]:
        """What is wrong with the options, a sentence each; `examine` judges the parameters."""
        found = option_problems(place.options, OcfOptions, {})
        if found:
            return found
        options = read_options(place.options, OcfOptions)
        if len(_parts(options.agent)) != 2:  # noqa: PLR2004 - provider and name
            found.append(f"option 'agent' = {options.agent!r} names no agent: write it as \"heartbeat:anything\".")
        for name, value in options.parameters.items():
            found += placeholder_problems(f"parameters.{name}", [str(value)])
        return found

    def launch(self, place: Place) -> Launch:
        """Its actions; raises MachineError when the agent is not installed."""
        options = read_options(place.options, OcfOptions)
        agent = _agent(options)
        return Launch(
            argv=("/bin/sh", "-c", _FRESH, "ocf", *_action(agent, "start", place.start_timeout_s)),
            env=_environment(options, place),
            tended=_tended(options, place, agent),
        )

    async def ready(self, place: Place, timeout_s: float) -> None:
        """Return when the agent's monitor says that it runs, and the port is open where that counts."""
        options = read_options(place.options, OcfOptions)
        found = last_answer(place, _tended(options, place, _agent(options)))
        if found.code not in SERVES:
            meaning = CODES.get(found.code, "a code that OCF does not know") if found.code is not None else ""
            raise NotReady(f"monitor: {found.code} ({meaning}) {found.output[-200:]}")
        if options.check_port:
            await require_port(place, timeout_s)

    async def version(self, place: Place) -> str:
        """That of the agent; raises MachineError when it is missing or says nothing of itself."""
        options = read_options(place.options, OcfOptions)
        return f"{(await described(_agent(options), options.ocf_root)).version} ({options.agent})"

    async def examine(self, place: Place) -> list[Remark]:
        """The parameters, against the agent's meta-data, and the time-outs against its advice."""
        options = read_options(place.options, OcfOptions)
        try:
            description = await described(_agent(options), options.ocf_root)
        except MachineError as error:
            return [Remark(str(error))]
        names = [parameter.name for parameter in description.parameters]
        found = []
        for name in sorted(set(options.parameters) - set(names)):
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}."
            found.append(Remark(f"parameter {name!r} is unknown to {options.agent}: {hint}"))
        found += [
            Remark(f"parameter {parameter.name!r} is missing: {options.agent} needs it.")
            for parameter in description.parameters
            if parameter.required and parameter.name not in options.parameters
        ]
        for name, value in options.parameters.items():
            found += one_address_remarks(f"parameters.{name}", [str(value)], place)
        for action, given_s in (("start", place.start_timeout_s), ("stop", place.stop_timeout_s)):
            advised_s = description.timeouts_s.get(action, 0.0)
            if given_s < advised_s:
                text = f"{action}_timeout_s is {given_s:g}, and {options.agent} advises {advised_s:g} s at least."
                found.append(Remark(text, severe=False))
        return found


def _parts(agent: str) -> list[str]:
    return [part for part in agent.removeprefix("ocf:").split(":") if part and "/" not in part]


def _agent(options: OcfOptions) -> Path:
    """Its file; raises MachineError, naming the nearest, when there is none."""
    path = Path(options.ocf_root, "resource.d", *_parts(options.agent))
    if path.is_file() and os.access(path, os.X_OK):
        return path
    near = difflib.get_close_matches(":".join(_parts(options.agent)), agents_below(options.ocf_root), n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "Install it with: apt-get install resource-agents"
    raise MachineError(
        f"There is no agent {options.agent!r} below {options.ocf_root}/resource.d on this machine. {hint}"
    )


def _action(agent: Path, action: str, timeout_s: float, interval_s: float = 0.0) -> tuple[str, ...]:
    """The command for one action. Only a monitor has an interval: without one it would count as a probe."""
    told = [f"OCF_RESKEY_CRM_meta_timeout={int(timeout_s * _MS_PER_S)}"]
    if interval_s:
        told.append(f"OCF_RESKEY_CRM_meta_interval={int(interval_s * _MS_PER_S)}")
    return ("/usr/bin/env", *told, str(agent), action)


def _environment(options: OcfOptions, place: Place) -> dict[str, str]:
    provider, kind = _parts(options.agent)
    state = str(place.run_dir / _STATE)
    values = zip(options.parameters, filled([_word(v) for v in options.parameters.values()], place), strict=True)
    return {
        "OCF_ROOT": options.ocf_root,
        "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RA_VERSION_MINOR": "1",
        "OCF_RESOURCE_INSTANCE": place.name,
        "OCF_RESOURCE_PROVIDER": provider,
        "OCF_RESOURCE_TYPE": kind,
        "OCF_RESKEY_crm_feature_set": _FEATURES,
        "HA_RSCTMP": state,
        "HA_VARRUN": state,
        **{f"OCF_RESKEY_{name}": value for name, value in values},
    }


def _word(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tended(options: OcfOptions, place: Place, agent: Path) -> Tended:
    description = known(agent)
    advised_s = description.interval_s if description else 0.0
    every_s = options.monitor_every_s or advised_s or _EVERY_S
    deadline_s = (description.timeouts_s.get("monitor") if description else None) or _MONITOR_S
    return Tended(
        started=STARTED,
        status=_action(agent, "monitor", deadline_s, every_s),
        serves=SERVES,
        stopped=STOPPED,
        every_s=every_s,
        deadline_s=deadline_s,
        stop=(
            StopStage(argv=_action(agent, "stop", place.stop_timeout_s * _STOP_SHARE), share=_STOP_SHARE),
            StopStage(share=_SIGNAL_SHARE),
        ),
        processless=options.processless,
    )
