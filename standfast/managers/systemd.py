"""Any unit of systemd on this machine.

Guarantees: all processes of the unit end with the lease, also when the daemon hangs or is dead: they are in a cgroup
that the warden knows before the start and kills as a whole. systemd neither restarts the unit by itself nor starts it
any more once the warden has taken the permit away, also when a start was under way. `unit_child` sees to that, by a
drop-in below /run.

Does not guarantee: that the storage's lock outlives the minder: systemd starts the processes, so they do not inherit
it. When warden and backstop are killed at the same instant, the unit runs on without lock until the member's next start
ends it. Nor anything in the instant between systemd's look at the permit and the unit's first process, should systemd
itself stand still in it for longer than kill_ms.

Assumes systemd as process 1, cgroups of version 2, and a member that runs as root. The unit must not be enabled:
Standfast starts it. Where it keeps its data and on which address it listens is the unit's own business, and must fit
the cluster file.

Options
    unit             name of the unit, such as "rabbitmq-server.service"; must be given
    status           command that ends with 0 when the queue manager serves; default: `systemctl is-active`. In every
                     word {name}, {data_dir}, {run_dir}, {address} and {port} stand for what they say
    status_every_s   pause between two questions; default 5
    check_port       whether the port must accept connections too; default true
    systemctl        the program; default: the one on PATH
    runtime_units    systemd's directory for units of this boot; default /run/systemd/system
"""

import os
import re
from typing import Annotated

from msgspec import Meta, Struct

from standfast.disposable import bare_python
from standfast.managers import unit_child
from standfast.managers.asking import ask
from standfast.managers.options import option_problems, read_options
from standfast.managers.tended import (
    filled,
    own_disk_problems,
    placeholder_problems,
    require_port,
    require_program,
    require_serving,
)
from standfast.ports import Durability, Launch, Outside, Place, Remark, StopStage, Tended

_PERMIT = "unit-permit"
_STOP_SHARE = 0.9
_BOOTED = ("running", "degraded", "starting", "initializing", "maintenance", "stopping")
"""What `systemctl is-system-running` says where systemd is process 1."""
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.service")


class SystemdOptions(Struct, frozen=True, kw_only=True):
    """What the cluster file may set; see the module's docstring."""

    unit: str = ""
    status: tuple[str, ...] = ()
    status_every_s: Annotated[float, Meta(gt=0)] = 5.0
    check_port: bool = True
    systemctl: str = "systemctl"
    runtime_units: str = "/run/systemd/system"


class Systemd:
    """Driver for units of systemd; see the module's docstring."""

    kind = "systemd"
    durability = Durability.UNKNOWN
    durability_note = "A unit does not say what it runs: what an acknowledgement is worth is up to that."
    option_names = frozenset(SystemdOptions.__struct_fields__)
    programs: tuple[str, ...] = ("systemctl",)

    def problems(self, place: Place) -> list[str]:
        """What is wrong with the options, a sentence each."""
        found = option_problems(place.options, SystemdOptions, {})
        if found:
            return found
        options = read_options(place.options, SystemdOptions)
        if not _UNIT.fullmatch(options.unit):
            found.append(f"option 'unit' = {options.unit!r} names no service: write it as \"broker.service\".")
        found += placeholder_problems("status", options.status)
        return found + own_disk_problems("status", options.status, place)

    def launch(self, place: Place) -> Launch:
        """Its start; raises MachineError when a program is missing."""
        options = read_options(place.options, SystemdOptions)
        systemctl = require_program(options.systemctl, "systemctl")
        permit = str(place.run_dir / _PERMIT)
        start = (systemctl, options.runtime_units, options.unit, permit)
        return Launch(
            argv=bare_python(unit_child.__name__, *start),
            tended=Tended(
                status=_status(options, place, systemctl),
                every_s=options.status_every_s,
                stop=(StopStage(argv=(systemctl, "stop", options.unit), share=_STOP_SHARE),),
                outside=Outside(cgroup=unit_child.cgroup_of(options.unit), permit=permit),
            ),
        )

    async def ready(self, place: Place, timeout_s: float) -> None:
        """Return when the status command says that it serves, and the port is open where that counts."""
        options = read_options(place.options, SystemdOptions)
        require_serving(place, Tended(every_s=options.status_every_s))
        if options.check_port:
            await require_port(place, timeout_s)

    async def version(self, place: Place) -> str:
        """That of systemd, as a unit has none."""
        options = read_options(place.options, SystemdOptions)
        answer = await ask(require_program(options.systemctl, "systemctl"), "--version")
        found = re.search(r"systemd (\d+\S*)", answer.output)
        return f"{found[1]} (systemd)" if found else "unknown"

    async def examine(self, place: Place) -> list[Remark]:
        """The unit as systemd has it loaded."""
        options = read_options(place.options, SystemdOptions)
        systemctl, unit = require_program(options.systemctl, "systemctl"), options.unit
        if os.geteuid() != 0:
            return [Remark("Only root may have systemd start units and end them: run the member as root.")]
        state = (await ask(systemctl, "is-system-running")).output.strip()
        if state not in _BOOTED:
            return [Remark(f"systemd is not process 1 on this machine (it says {state!r}): choose another kind.")]
        shown = await ask(systemctl, "show", "--property", "LoadState,UnitFileState,TimeoutStartUSec", unit)
        found = dict(line.split("=", 1) for line in shown.output.splitlines() if "=" in line)
        if found.get("LoadState") != "loaded":
            return [
                Remark(f"{unit} is {found.get('LoadState', 'unknown')} here. Install it, or correct option 'unit'.")
            ]
        if found.get("UnitFileState", "").startswith("enabled"):
            return [
                Remark(f"{unit} is enabled: systemd would start it beside Standfast. Run: systemctl disable {unit}")
            ]
        return []


def _status(options: SystemdOptions, place: Place, systemctl: str) -> tuple[str, ...]:
    if not options.status:
        return (systemctl, "is-active", options.unit)
    first, *rest = filled(options.status, place)
    return (require_program(first, "status"), *rest)
