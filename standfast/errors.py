"""Everything that Standfast raises on purpose, and the exit code that the terminal turns it into.

::

    StandfastError                 exit code
     ├─ UsageError                   2   the command line or an argument is wrong
     ├─ ClusterFileError             3   the cluster file can not be used
     ├─ MachineError                 4   this machine lacks something: a program, a port, a permission
     ├─ KeyFileError                 5   a key or certificate is missing, broken or readable by others
     ├─ StateError                   6   the state directory or shared disk is broken or belongs to another
     ├─ AlreadyRunning               7   the member runs already on this machine
     ├─ StoreError                   8   the store
     │   ├─ StoreUnavailable             no endpoint answered in time; nothing was changed
     │   ├─ StoreOutcomeUnknown          a write may or may not have happened; read to find out
     │   ├─ StoreWentBack                an answer older than one already seen was refused
     │   ├─ StoreFull                    its quota is used up: reads go on, writes are refused until room is made
     │   └─ StoreFatal                   waiting will not help: wrong cluster, no permission, too old
     ├─ Unreachable                  9   no member answered the command
     ├─ Refused                     10   the cluster refused the command; the message says why
     ├─ PromiseBroken               11   a drill or a simulation saw a promise of design section 2 broken
     ├─ NotSafe                     12   can-stop: stopping that member now would cost availability
     ├─ Outdated                    13   config: it was changed since the one was shown from which the change was made
     ├─ NotAMember                  14   the cluster has removed this member, or has it at another address
     ├─ SinkError                   15   a sink of events did not take what it was given
     └─ StorageUnfit               16   verify storage: it can not be shared as it is

Exit code 0 is success, 1 an error that nobody foresaw (a bug: please report it), 130 an interrupt.
"""

from typing import ClassVar


class StandfastError(Exception):
    """Base of all. The message says what happened, why, and what to do next."""

    exit_code: ClassVar[int] = 1


class UsageError(StandfastError):
    """The command line or an argument is wrong."""

    exit_code = 2


class ClusterFileError(StandfastError):
    """The cluster file can not be used; the message lists every problem found."""

    exit_code = 3


class MachineError(StandfastError):
    """This machine lacks something: a program, a port, a permission."""

    exit_code = 4


class KeyFileError(StandfastError):
    """A key or certificate is missing, broken or readable by others."""

    exit_code = 5


class StateError(StandfastError):
    """The state directory or the shared disk is broken, or belongs to another member or cluster."""

    exit_code = 6


class AlreadyRunning(StandfastError):  # noqa: N818 - a situation, not a mistake
    """The member runs already on this machine."""

    exit_code = 7


class StoreError(StandfastError):
    """Base of what can go wrong with the store."""

    exit_code = 8


class StoreUnavailable(StoreError):  # noqa: N818 - a situation
    """No endpoint answered in time; nothing was changed."""


class StoreOutcomeUnknown(StoreError):  # noqa: N818 - a situation
    """A write may or may not have happened: read to find out, never repeat it."""


class StoreWentBack(StoreError):  # noqa: N818 - a situation
    """An answer older than one already seen was refused."""


class StoreFull(StoreError):  # noqa: N818 - a situation
    """Its quota is used up: it can be read, but nothing is written until an operator makes room."""


class StoreFatal(StoreError):  # noqa: N818 - a situation
    """Waiting will not help: another cluster's store, no permission, a server too old."""


class Unreachable(StandfastError):  # noqa: N818 - a situation
    """No member answered the command."""

    exit_code = 9


class Refused(StandfastError):  # noqa: N818 - a situation
    """The cluster refused the command; the message says why and what to do."""

    exit_code = 10


class PromiseBroken(StandfastError):  # noqa: N818 - a situation
    """A drill or a simulation saw a promise broken."""

    exit_code = 11


class NotSafe(StandfastError):  # noqa: N818 - a situation
    """Stopping that member now would cost availability."""

    exit_code = 12


class Outdated(StandfastError):  # noqa: N818 - a situation
    """The configuration was changed since the one was shown from which this change was made; nothing was done."""

    exit_code = 13


class NotAMember(StandfastError):  # noqa: N818 - a situation
    """The cluster has removed this member, or has it at another address: starting it again is of no use."""

    exit_code = 14


class SinkError(StandfastError):
    """A sink of events did not take what it was given; the message says why."""

    exit_code = 15


class StorageUnfit(StandfastError):  # noqa: N818 - a finding
    """The storage can not be shared as it is; the report says why."""

    exit_code = 16
