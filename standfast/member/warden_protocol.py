"""What daemon and warden say to each other: JSON objects, one per packet of a UNIX SOCK_SEQPACKET socket.

The warden speaks first on every connection, with `state`. A new connection replaces the one before.

Daemon to warden, by `do`:

============  ========================================================================================
``lease``     end_ns, stop_ns, kill_ns: the lease's end on CLOCK_BOOTTIME; how long before it to stop, to kill
``launch``    qm, epoch, argv, env, cwd, log, stop_signal, storage {kind, and what its claim asks for},
              tended: null, or how to tend what is no foreground process, see `minder_plan.Plan`
``stop``      qm: its stop signal to its main process
``kill``      qm: SIGKILL to everything of it
``list``      asks for `state`
``watchdog``  device, required, fine, ticking, aim_ns, record: see `warden_watchdog.Plan`; the record's file
``quit``      kill: end when nothing runs; with kill true, make it so first; else answered by `busy`
============  ========================================================================================

Warden to daemon, by `report`:

==============  ======================================================================================
``state``       version, pid, backstop, containment, privileges, end_ns, running [{qm, epoch, pid, stage, stopping}]
``held``        end_ns: the lease now in force, in answer to `lease`
``launched``    qm, epoch, pid, claim_us, total_us: the program was executed
``refused``     qm, epoch, code, detail: it was not, and no process of the attempt is left
``exited``      qm, epoch, pid, exit_code or signal, cause: no process of the queue manager is left
``lease_stop``  qm, epoch: asked to stop because its lease runs out
``lease_kill``  qm, epoch: killed because its lease runs out
``stuck``       qm, epoch, pid: the lease has ended and the kernel has not ended all its processes yet
``busy``        running: `quit` was not carried out, something runs
``watchdog``    state, device, identity, timeout_s, fires_ns, detail: in answer to `watchdog`, and at each change
``error``       detail: a message that could not be understood was dropped
==============  ======================================================================================

Daemon and warden may be of different releases: a daemon that is restarted takes over the warden that it finds. Each
release speaks one version of this protocol and understands those from OLDEST on. What is added to an order must be
something that an older warden can do without; what is added to a report has a default; else OLDEST is raised, and a
restart of the daemon by that release ends what runs.

Standard library only.
"""

import socket
from enum import StrEnum

VERSION = 2
OLDEST = 2
"""The oldest version of a warden that this release can take over with what it runs."""
LARGEST_BYTES = 1 << 18
"""Largest packet; sockets buffer less than this by default, so a larger one is never sent."""


class Stage(StrEnum):
    """How far a launch has come."""

    CLAIMING = "claiming"  # forked, not yet executed
    RUNNING = "running"
    ENDING = "ending"  # the main process has ended, others are being killed


class Cause(StrEnum):
    """What made a queue manager end."""

    ITSELF = "itself"
    STOP = "stop"
    KILL = "kill"
    LEASE = "lease"
    WARDEN_GONE = "warden_gone"  # said by the client: the warden died, and all that it had started with it


class Containment(StrEnum):
    """How the processes of a queue manager are held together."""

    CGROUP = "cgroup"
    GROUP = "group"


class WatchdogState(StrEnum):
    """How it stands with the kernel's watchdog."""

    OFF = "off"  # none is wanted
    ABSENT = "absent"  # it can not be used
    READY = "ready"  # held and stopped: nothing runs
    ARMED = "armed"  # started, and fed as the lease is renewed
    STARVED = "starved"  # the lease bears no feeding any more: it fires unless all has ended before
    CAPTIVE = "captive"  # it can not be stopped: fed, and not used


def packet_socket() -> socket.socket:
    """A new socket of the protocol's kind."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
