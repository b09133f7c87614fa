"""The start command of a unit of systemd: makes the unit obey the lease first, then has systemd start it.

Run by a minder. Arguments: the systemctl program, systemd's directory for runtime units, the unit, the permit's path.

Guarantees, once the unit runs: its processes are in the cgroup that the warden kills; systemd does not restart it by
itself, and starts it only while the permit exists, which the warden removes before it kills. All of that by a drop-in
below /run, which is gone after a reboot. Standard library only.
"""

import contextlib
import subprocess
import sys
from pathlib import Path

SLICE = "standfast.slice"
DROP_IN = "50-standfast.conf"
EXIT_NOT_OURS = 64
"""The unit runs already, or is not as it must be; what it printed says how."""
_WANTED = {"LoadState": "loaded", "Restart": "no", "Slice": SLICE}


def drop_in(permit: str) -> str:
    """The text of the drop-in. Format: systemd.unit(5), systemd.service(5)."""
    return (
        "# Written by Standfast, which starts and stops this unit; changes belong into files of other names.\n"
        f"[Unit]\nConditionPathExists={permit}\nStartLimitIntervalSec=0\n"
        f"[Service]\nRestart=no\nSlice={SLICE}\n"
    )


def cgroup_of(unit: str) -> str:
    """Where the unit's processes are then, below the root of the cgroup hierarchy."""
    return f"/{SLICE}/{unit}"


def main() -> None:
    """Entry point; the exit code is systemctl's, or EXIT_NOT_OURS."""
    systemctl, runtime, unit, permit = sys.argv[1:]
    file = Path(runtime, f"{unit}.d", DROP_IN)
    if not file.exists() or file.read_text() != drop_in(permit):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(drop_in(permit))
        _call(systemctl, "daemon-reload")
    found = properties(systemctl, unit, *_WANTED, "ActiveState")
    for name, wanted in _WANTED.items():
        if found.get(name) != wanted:
            _refuse(f"{unit}: {name} is {found.get(name)!r} and must be {wanted!r}: see `systemctl cat {unit}`")
    if found.get("ActiveState") not in ("inactive", "failed"):
        _refuse(
            f"{unit} is {found.get('ActiveState')} already: something else has started it. Run: systemctl stop {unit}"
        )
    _call(systemctl, "reset-failed", unit)
    Path(permit).touch()
    code = _call(systemctl, "start", unit)
    group = properties(systemctl, unit, "ControlGroup").get("ControlGroup")
    if code == 0 and group not in (cgroup_of(unit), ""):
        with contextlib.suppress(FileNotFoundError):
            Path(permit).unlink()
        _call(systemctl, "stop", unit)
        _refuse(f"{unit} was started in the cgroup {group!r} instead of {cgroup_of(unit)!r}, and was stopped again")
    sys.exit(code)


def properties(systemctl: str, unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit as systemd has them loaded."""
    done = subprocess.run(
        [systemctl, "show", "--property", ",".join(names), unit], stdout=subprocess.PIPE, check=False, text=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _call(systemctl: str, *words: str) -> int:
    return subprocess.run([systemctl, *words], check=False).returncode


def _refuse(sentence: str) -> None:
    sys.stderr.write(f"standfast: {sentence}\n")
    sys.exit(EXIT_NOT_OURS)
