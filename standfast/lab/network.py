"""A network of a lab's own: each member in a network namespace, all on one bridge, and cuts of it.

Guaranteed: nothing of the machine's own network is touched or can be reached, so that any number of labs use the same
addresses; a cut takes effect at once, for connections that stand too, and lasts until it is healed; `remove` ends every
process in the namespaces and leaves nothing, whatever became of those who made them.

A cut is silent, as behind a router that broke: packets of IPv4 vanish on their way through the bridge, nobody gets an
error, addresses still resolve. Needs root, iproute2 and nftables, and a kernel with network namespaces.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from standfast.errors import MachineError, UsageError
from standfast.lab import processes

CLIENT = "client"
"""The name of the machine for clients: on the bridge as members are, and no member."""
NET = "10.77.0"
"""The first three numbers of every address in it."""
_CLIENT_ADDRESS = f"{NET}.254"
_BRIDGE = "bridge"
_END_S = 10.0
_COMMAND_S = 30.0
_MOUNTED = Path("/run/netns")
_PACKAGES = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux"}
_LIST = ("list", "set", "bridge", "standfast", "cut")
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"

Way = tuple[str, str]
"""From one name to another: what the first sends to the second."""


def both_ways(one: str, other: str) -> tuple[Way, Way]:
    """Everything between two names."""
    return (one, other), (other, one)


class Network:
    """Namespaces `PREFIX-NAME` for `addresses` (by name) and for the client, and `PREFIX` for the bridge."""

    def __init__(self, prefix: str, addresses: Mapping[str, str]) -> None:
        self.addresses = {**addresses, CLIENT: _CLIENT_ADDRESS}
        self._prefix = prefix

    def inside(self, name: str) -> tuple[str, ...]:
        """What to put before a command so that it runs on that machine.

        Raises UsageError for an unknown name, MachineError when the network is not up.
        """
        return self._within(self._namespace(name))

    # ------------------------------------------------------------ up and down

    def up(self) -> None:
        """Make it unless it is there. Raises MachineError: no root, no program, a kernel without namespaces."""
        require()
        if not self._whole():
            self.remove()
            try:
                self._make()
            except BaseException:
                with contextlib.suppress(MachineError):
                    self.remove()
                raise

    def remove(self) -> None:
        """Kill what runs in it and delete it; raises MachineError when something can not be killed."""
        present = [name for name in self._namespaces() if (_MOUNTED / name).exists()]
        if not present:
            return
        require()
        if not processes.await_end(processes.kill_at_once(lambda: _living(present)), _END_S):
            raise MachineError(f"Processes in the lab's namespaces could not be killed within {_END_S:g} s.")
        for name in present:
            _run("ip", "netns", "delete", name)

    def _namespaces(self) -> list[str]:
        return [self._prefix, *(self._namespace(name) for name in self.addresses)]

    def _namespace(self, name: str) -> str:
        if name not in self.addresses:
            raise UsageError(f"The lab has no machine {name!r}: choose one of {', '.join(self.addresses)}.")
        return f"{self._prefix}-{name}"

    def _whole(self) -> bool:
        """The last step of making it is the table of cuts."""
        if not all((_MOUNTED / name).exists() for name in self._namespaces()):
            return False
        try:
            self._nft(*_LIST)
        except MachineError:
            return False
        return True

    def _make(self) -> None:
        for name in self._namespaces():
            _run("ip", "netns", "add", name)
        self._ip(self._prefix, f"link add {_BRIDGE} type bridge stp_state 0 forward_delay 0", f"link set {_BRIDGE} up")
        for number, (name, own) in enumerate(self.addresses.items(), 1):
            port, inside = f"port{number}", self._namespace(name)
            self._ip(
                self._prefix,
                f"link add {port} type veth peer name eth0 netns {inside}",
                f"link set {port} master {_BRIDGE} up",
            )
            self._ip(inside, "link set lo up", f"address add {own}/24 dev eth0", "link set eth0 up")
        self._nft(
            *("-f", "-"),
            told="""
            table bridge standfast {
                set cut { type ipv4_addr . ipv4_addr; }
                chain forward {
                    type filter hook forward priority 0;
                    ip saddr . ip daddr @cut drop
                }
            }""",
        )

    # ------------------------------------------------------------ cuts

    def cut(self, ways: Iterable[Way]) -> None:
        """Drop all that is sent these ways from now on. Raises MachineError, and UsageError for an unknown name."""
        self._change("add", ways)

    def heal(self, ways: Iterable[Way] | None = None) -> None:
        """Let it pass again: these ways, or everything. Raises as `cut` does."""
        cut = self.cuts()
        self._change("delete", cut if ways is None else cut & set(ways))

    def cuts(self) -> set[Way]:
        """What is cut now."""
        names = {own: name for name, own in self.addresses.items()}
        listed = json.loads(self._nft("--json", *_LIST))["nftables"]
        found = next(item["set"] for item in listed if "set" in item).get("elem", ())
        return {(names[pair["concat"][0]], names[pair["concat"][1]]) for pair in found}

    def around(self, name: str, *, clients: bool = True) -> list[Way]:
        """Every way to and from a machine, with or without those of clients."""
        others = [other for other in self.addresses if other != name and (clients or other != CLIENT)]
        return [way for other in others for way in both_ways(name, other)]

    def _change(self, verb: str, ways: Iterable[Way]) -> None:
        """In one transaction of the kernel."""
        pairs = [f"{self._address(one)} . {self._address(other)}" for one, other in ways]
        if pairs:
            self._nft(verb, "element", "bridge", "standfast", "cut", f"{{ {', '.join(pairs)} }}")

    def _address(self, name: str) -> str:
        self._namespace(name)
        return self.addresses[name]

    def _ip(self, namespace: str, *lines: str) -> None:
        _run("ip", "-n", namespace, "-batch", "-", told="\n".join(lines))

    def _nft(self, *arguments: str, told: str = "") -> str:
        return _run(*self._within(self._prefix), _program("nft"), *arguments, told=told)

    def _within(self, namespace: str) -> tuple[str, ...]:
        mounted = _MOUNTED / namespace
        if not mounted.exists():
            raise MachineError("The lab's network is not up. Bring the lab up first: standfast lab up DIRECTORY")
        return (_program("nsenter"), f"--net={mounted}", "--")


def require() -> None:
    """Raise MachineError unless this user may make namespaces here and has the programs for it."""
    for name in _PACKAGES:
        _program(name)
    if os.geteuid() != 0:
        raise MachineError(
            "A lab in network namespaces needs root: repeat the command with sudo, or run a lab without them."
        )


def _living(namespaces: Iterable[str]) -> list[int]:
    """Processes in these, but not the one that asks."""
    found = " ".join(_run("ip", "netns", "pids", name) for name in namespaces).split()
    return [pid for pid in map(int, found) if pid != os.getpid()]


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise MachineError(
            f"A lab in network namespaces needs the program {name}. Install it: apt-get install {_PACKAGES[name]}"
        )
    return found


def _run(program: str, *arguments: str, told: str = "") -> str:
    """A command to its end; what it printed. Raises MachineError with what it complained of."""
    command = [_program(program), *arguments]
    try:
        done = subprocess.run(command, input=told, check=False, capture_output=True, text=True, timeout=_COMMAND_S)
    except subprocess.TimeoutExpired:
        raise MachineError(f"`{' '.join(command)}` did not end within {_COMMAND_S:g} s.") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise MachineError(
            f"The lab's network could not be set up or changed: `{' '.join(command)}` said: {said}. Its kernel needs "
            "network namespaces, veth, bridges and nftables for bridges; the user needs to be root."
        )
    return done.stdout
