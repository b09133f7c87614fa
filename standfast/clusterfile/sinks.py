"""The rules that the sinks of a cluster file must keep."""

import difflib
from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlsplit

from standfast.clusterfile.places import Fault, Path, Problem
from standfast.clusterfile.words import name
from standfast.model.cluster import Cluster
from standfast.model.events import EventKind
from standfast.model.sinks import KINDS, Choice, SinkKind, SinkSpec

MAX_SINKS = 20
MIN_DEADLINE_S, MAX_DEADLINE_S = 0.1, 300.0


def problems(cluster: Cluster) -> Iterator[Problem]:
    """Everything that is wrong with them."""
    if len(cluster.sinks) > MAX_SINKS:
        yield Problem(Fault.BAD_VALUE, ("sink",), f"{len(cluster.sinks)} sinks: at most {MAX_SINKS} are served.")
    known = {qm.name for qm in cluster.queue_managers}
    yield from chain.from_iterable(_sink(("sink", i), sink, known) for i, sink in enumerate(cluster.sinks))


def _sink(path: Path, sink: SinkSpec, known: set[str]) -> Iterator[Problem]:
    yield from name((*path, "name"), sink.name)
    yield from _url(path, sink)
    traits = KINDS[sink.kind]
    if traits.target and not sink.target:
        yield Problem(Fault.MISSING, (*path, "target"), f'target is missing: add target = "{traits.target}".')
    if sink.target and not traits.target:
        yield Problem(Fault.BAD_VALUE, (*path, "target"), f"a sink of kind {sink.kind} has no target: leave it out.")
    if sink.queue_manager and sink.queue_manager not in known:
        listed = ", ".join(sorted(known)) or "none yet"
        yield Problem(
            Fault.BAD_VALUE,
            (*path, "queue_manager"),
            f"there is no queue manager {sink.queue_manager!r} in this file: it has {listed}.",
        )
    if not MIN_DEADLINE_S <= sink.deadline_s <= MAX_DEADLINE_S:
        yield Problem(
            Fault.BAD_VALUE,
            (*path, "deadline_s"),
            f"deadline_s = {sink.deadline_s:g} must be {MIN_DEADLINE_S:g} to {MAX_DEADLINE_S:g} seconds.",
        )
    for kind in sink.only:
        if kind not in [*EventKind]:
            near = difflib.get_close_matches(kind, [*EventKind], n=1)
            hint = f"did you mean {near[0]}?" if near else "`standfast explain` lists all."
            yield Problem(Fault.BAD_VALUE, (*path, "only"), f"the event {kind!r} is unknown: {hint}")
    yield from _credentials(path, sink)
    yield from _options(path, sink)


def _url(path: Path, sink: SinkSpec) -> Iterator[Problem]:
    """A scheme of the kind, a host where there must be one, and no password: this file is not a secret."""
    traits = KINDS[sink.kind]
    here = (*path, "url")
    if not traits.schemes:
        if sink.url:
            yield Problem(Fault.BAD_VALUE, here, f"a sink of kind {sink.kind} has no url: leave it out.")
        return
    if not sink.url:
        yield Problem(Fault.MISSING, here, f'url is missing: add url = "{traits.example}".')
        return
    try:
        parts = urlsplit(sink.url)
        fits = parts.scheme in traits.schemes and (bool(parts.hostname) or not traits.schemes[parts.scheme])
        fits = fits and parts.port != 0 and sink.url.isprintable() and " " not in sink.url
    except ValueError:
        fits = False
    if not fits:
        schemes = " or ".join(f"{scheme}://" for scheme in traits.schemes)
        yield Problem(
            Fault.BAD_VALUE, here, f'{sink.url!r} is no url for it: begin with {schemes}, such as "{traits.example}".'
        )
    elif "@" in parts.netloc:
        yield Problem(Fault.BAD_VALUE, here, "no user and no password in a url: give username and password_file.")


def _credentials(path: Path, sink: SinkSpec) -> Iterator[Problem]:
    if (sink.cert_file and not sink.key_file) or (sink.key_file and not sink.cert_file):
        lacking = "key_file" if sink.cert_file else "cert_file"
        yield Problem(Fault.MISSING, (*path, lacking), f"{lacking} is missing: cert_file and key_file go together.")
    if sink.kind is SinkKind.SNMP:
        third = sink.options.get("version") == "3"
        if third and not sink.username:
            yield Problem(Fault.MISSING, (*path, "username"), "username is missing: version 3 of SNMP needs a user.")
        if not sink.password_file:
            what = "the user's password" if third else "the community"
            yield Problem(Fault.MISSING, (*path, "password_file"), f"password_file is missing: a file with {what}.")
    elif sink.username and not sink.password_file:
        yield Problem(Fault.MISSING, (*path, "password_file"), "password_file is missing: a file on each member.")


def _options(path: Path, sink: SinkSpec) -> Iterator[Problem]:
    known = KINDS[sink.kind].options
    for key, value in sink.options.items():
        here = (*path, "options", key)
        choice = known.get(key)
        if choice is None:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known) or 'none'}."
            yield Problem(Fault.UNKNOWN_KEY, here, f"the option {key} is unknown: {hint}")
        elif not _fits(choice, value):
            words = f"one of {', '.join(choice.words)}" if choice.words else choice.meaning
            yield Problem(Fault.BAD_VALUE, here, f"{key} = {value!r} must be {words}.")
    if sink.kind is SinkKind.COMMAND and "command" not in sink.options:
        yield Problem(
            Fault.MISSING, (*path, "options", "command"), 'command is missing: add command = ["/path/to/program"].'
        )


def _fits(choice: Choice, value: object) -> bool:
    if choice.type is list:
        return isinstance(value, list) and bool(value) and all(isinstance(word, str) and word for word in value)
    return isinstance(value, choice.type) and (not choice.words or value in choice.words)
