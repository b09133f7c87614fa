"""Reads a cluster file: TOML in, a `Cluster` out, or every problem in it at once.

Guarantees: a `Cluster` that leaves this room is complete and consistent (names, addresses, ports, paths, timers), so
that nothing behind it checks those again; all problems are reported together, each with its place and what to do.
Does not look at the machine (programs, ports, mounts), nor at the options of the drivers: `standfast check` does.

Layout of the file::

    [cluster]                       name, id, edition
    [timing]                        profile, and single values
    [policy]                        see Policy
    [store]                         endpoints, username, password_file, ca_file, cert_file, key_file
    [disk]                          path
    [aws]                           see AwsSpec
    [fencing]                       see FencingSpec; [fencing.options], [fencing.members.NAME]
    [[member]]                      one for each member, see MemberSpec
    [[queue_manager]]               one for each queue manager, see QueueManagerSpec
    [queue_manager.storage]         see StorageSpec
    [queue_manager.options]         settings of the driver
    [[queue_manager.endpoints]]     kind, and settings of that kind
    [[sink]]                        one for each sink of events, see SinkSpec
    [sink.options]                  settings of its kind
"""

import difflib
import reprlib
import tomllib
from collections.abc import Iterable
from pathlib import Path as FilePath
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from standfast.clusterfile import rules
from standfast.clusterfile.places import Fault, Path, Places, Problem
from standfast.errors import ClusterFileError
from standfast.model.choices import Tie, VersionRule
from standfast.model.cluster import (
    AwsSpec,
    Cluster,
    DiskSpec,
    EndpointSpec,
    Failback,
    FenceWhen,
    FencingSpec,
    LinkLoss,
    MemberSpec,
    Policy,
    QueueManagerSpec,
    Role,
    StorageSpec,
    StoreSpec,
    WatchdogMode,
)
from standfast.model.events import Severity
from standfast.model.sinks import Delivery, SinkKind, SinkSpec
from standfast.model.timing import DEFAULT_PROFILE, PROFILES, Timing, TimingError, timing

S = TypeVar("S", bound=Struct)

_TABLES = ("cluster", "timing", "policy", "store", "disk", "aws", "fencing", "member", "queue_manager", "sink")
_TIMING_KEYS = tuple(field.name for field in msgspec.structs.fields(Timing))

_WANTED: dict[Any, tuple[str, Any]] = {
    str: ("a text in quotes", ""),
    int: ("a whole number", 0),
    float: ("a number", 0.0),
    bool: ("true or false", False),
    tuple[str, ...]: ('a list of texts, such as ["x", "y"]', ()),
    Role: ('"data" or "witness"', Role.DATA),
    Failback: ('"never", "preferred" or "window"', Failback.NEVER),
    Tie: ('"strict" or "preferred"', Tie.STRICT),
    VersionRule: ('"not_older", "equal" or "any"', VersionRule.NOT_OLDER),
    WatchdogMode: ('"off", "automatic" or "required"', WatchdogMode.OFF),
    LinkLoss: ('"keep" or "evict"', LinkLoss.KEEP),
    FenceWhen: ('"unproven" or "always"', FenceWhen.UNPROVEN),
    dict[str, Any]: ("a table", {}),
    SinkKind: (f"one of {', '.join(SinkKind)}", SinkKind.SYSLOG),
    Severity: ('"info", "warning" or "critical"', Severity.INFO),
    Delivery: ('"usual", "from_log" or "at_once"', Delivery.USUAL),
    StorageSpec: ("a table [queue_manager.storage]", StorageSpec(path="")),
    tuple[EndpointSpec, ...]: ("a list of tables [[queue_manager.endpoints]]", ()),
}
"""What each type is called, and the blank that stands in for a bad value so that the rest can still be judged."""


class Reading(Struct, frozen=True):
    """What came of reading a file.

    Attributes:
        cluster: None when there are problems.
        problems: all of them, by line.
        warnings: what is legal and yet worth a look.
    """

    cluster: Cluster | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def load(path: FilePath | str) -> Cluster:
    """The cluster that the file describes; raises ClusterFileError that lists every problem found."""
    reading = read(contents(path))
    if reading.cluster is not None:
        return reading.cluster
    count = len(reading.problems)
    listed = "".join(f"\n  {problem}" for problem in reading.problems)
    raise ClusterFileError(
        f"{path} can not be used, it has {count} problem{'s' if count > 1 else ''}:{listed}\n"
        f"Mend the file; `standfast check {path}` reads it again and changes nothing."
    )


def contents(path: FilePath | str) -> bytes:
    """The bytes of the file; raises ClusterFileError when it is missing or can not be read."""
    try:
        return FilePath(path).read_bytes()
    except FileNotFoundError:
        raise ClusterFileError(
            f"There is no cluster file {path}. Give its path with --file, or write one with `standfast init`."
        ) from None
    except OSError as error:
        raise ClusterFileError(
            f"The cluster file {path} can not be read: {error.strerror}. Check what it is and its permissions."
        ) from None


def read(data: bytes) -> Reading:
    """Judge the bytes of a cluster file; never raises."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sentence = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8 text."
        return Reading(None, (Problem(Fault.NOT_TEXT, (), sentence, line),))
    if not text.strip():
        return Reading(None, (Problem(Fault.EMPTY, (), "the file is empty: write one with `standfast init`."),))
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # the parser lets numbers and nesting beyond Python's limits through
        hint = " The file may have been cut short." if "end of document" in str(error) else ""
        sentence = f"this is not TOML: {error}.{hint}"
        return Reading(None, (Problem(Fault.NOT_TOML, (), sentence),))
    return _Reader(text, document).reading()


class _Reader:
    """Turns one parsed document into a Cluster and notes what is wrong on the way."""

    def __init__(self, text: str, document: dict[str, Any]) -> None:
        self._text = text
        self._document = document
        self._problems: dict[Path, Problem] = {}

    def reading(self) -> Reading:
        """Read every table, then apply the rules."""
        self._unknown(self._document, _TABLES, ())
        head = self._table("cluster")
        self._unknown(head, ("name", "id", "edition"), ("cluster",))
        store = self._struct(StoreSpec, self._table("store"), ("store",))
        members = self._list(MemberSpec, "member")
        queue_managers = self._list(QueueManagerSpec, "queue_manager")
        cluster = Cluster(
            name=self._value(head, "name", str, ("cluster",)),
            id=self._value(head, "id", str, ("cluster",)),
            members=members,
            timing=self._timing(),
            policy=self._struct(Policy, self._table("policy"), ("policy",)),
            queue_managers=queue_managers,
            store=store,
            disk=self._struct(DiskSpec, self._table("disk"), ("disk",)),
            aws=self._struct(AwsSpec, self._table("aws"), ("aws",)),
            sinks=self._list(SinkSpec, "sink"),
            edition=self._value(head, "edition", int, ("cluster",)) if "edition" in head else 0,
            fencing=self._struct(FencingSpec, self._table("fencing"), ("fencing",)),
        )
        self._say_all(rules.problems(cluster))
        places = Places(self._text, self._document)
        found = sorted(map(places.located, self._problems.values()), key=lambda p: (p.line or 0, p.path))
        if found:
            return Reading(None, tuple(found))
        warnings = tuple(map(places.located, rules.warnings(cluster, self._text)))
        return Reading(cluster, (), warnings)

    def _say(self, fault: Fault, path: Path, sentence: str) -> None:
        """Note a problem. A place is told of once: what follows from a bad value is not news."""
        self._problems.setdefault(path, Problem(fault, path, sentence))

    def _say_all(self, problems: Iterable[Problem]) -> None:
        """What the rules say of places that nothing was said of; of roles only when all of them were read."""
        roles_known = not any(path[-1:] == ("role",) for path in self._problems)
        for problem in problems:
            if roles_known or problem.fault not in {Fault.NO_DATA_MEMBER, Fault.NOT_A_DATA_MEMBER}:
                self._say(problem.fault, problem.path, problem.sentence)

    def _unknown(self, table: dict[str, Any], known: Iterable[str], path: Path) -> None:
        """Note every key that nobody reads, with the nearest one that somebody does."""
        names = tuple(known)
        for key in table:
            if key in names:
                continue
            near = difflib.get_close_matches(key.lower(), names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}."
            self._say(Fault.UNKNOWN_KEY, (*path, key), f"the key {key} is unknown: {hint}")

    def _table(self, name: str) -> dict[str, Any]:
        """The table of that name; empty when it is absent or something else."""
        raw = self._document.get(name, {})
        if isinstance(raw, dict):
            return raw
        self._say(Fault.WRONG_TYPE, (name,), f"this is {_kind(raw)}: write it as a table [{name}].")
        return {}

    def _list(self, cls: type[S], name: str) -> tuple[S, ...]:
        """All entries of an array of tables."""
        raw = self._document.get(name, [])
        if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
            self._say(Fault.WRONG_TYPE, (name,), f"this is {_kind(raw)}: begin each entry with [[{name}]].")
            return ()
        return tuple(self._struct(cls, entry, (name, number)) for number, entry in enumerate(raw))

    def _struct(self, cls: type[S], raw: dict[str, Any], path: Path) -> S:
        """The Struct that a table describes; blanks stand in for what is missing or bad."""
        fields = msgspec.structs.fields(cls)
        self._unknown(raw, (field.name for field in fields), path)
        values = {
            field.name: self._value(raw, field.name, field.type, path)
            for field in fields
            if field.required or field.name in raw
        }
        return cls(**values)

    def _value(self, raw: dict[str, Any], key: str, wanted: Any, path: Path) -> Any:
        """One value of the wanted type, or the blank of that type."""
        spoken, blank = _WANTED[wanted]
        if key not in raw:
            self._say(Fault.MISSING, (*path, key), f"{key} is missing: add {key} = {spoken}.")
            return blank
        given = raw[key]
        if wanted is StorageSpec and isinstance(given, dict):
            return self._struct(StorageSpec, given, (*path, key))
        if wanted == tuple[EndpointSpec, ...] and isinstance(given, list):
            return tuple(self._endpoint(one, (*path, key, number)) for number, one in enumerate(given))
        try:
            return msgspec.convert(given, wanted)
        except msgspec.ValidationError:
            self._say(
                Fault.WRONG_TYPE,
                (*path, key),
                f"{key} = {reprlib.repr(given)} is {_kind(given)}, but must be {spoken}.",
            )
            return blank

    def _endpoint(self, raw: Any, path: Path) -> EndpointSpec:
        """An endpoint: its kind, and beside it in the same table whatever that kind understands."""
        if not isinstance(raw, dict):
            self._say(Fault.WRONG_TYPE, path, f"this is {_kind(raw)}: begin each with [[queue_manager.endpoints]].")
            return EndpointSpec(kind="")
        options = {key: value for key, value in raw.items() if key != "kind"}
        return EndpointSpec(kind=self._value(raw, "kind", str, path), options=options)

    def _timing(self) -> Timing:
        """The timers; the profile stands in for a bad set."""
        raw = self._table("timing")
        self._unknown(raw, ("profile", *_TIMING_KEYS), ("timing",))
        profile = raw.get("profile", DEFAULT_PROFILE)
        if not isinstance(profile, str) or profile not in PROFILES:
            near = difflib.get_close_matches(str(profile).lower(), PROFILES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(PROFILES)}."
            self._say(Fault.TIMING, ("timing", "profile"), f"profile = {profile!r} is unknown: {hint}")
            profile = DEFAULT_PROFILE
        values = {key: self._value(raw, key, int, ("timing",)) for key in _TIMING_KEYS if key in raw}
        if any(path[0] == "timing" and p.fault is not Fault.UNKNOWN_KEY for path, p in self._problems.items()):
            return PROFILES[profile]
        try:
            return timing(profile, **values)
        except TimingError as error:
            self._say(Fault.TIMING, ("timing",), str(error))
            return PROFILES[profile]


def _kind(value: Any) -> str:
    """What a value is, in words."""
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "a table" if isinstance(value, dict) else "a date or time")
