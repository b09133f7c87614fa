"""`standfast check`: a cluster file, and this machine as one of its members. Changes nothing."""

import asyncio
from pathlib import Path

import click
import msgspec

from standfast.cli.disk_finding import disk_findings
from standfast.cli.examples import example
from standfast.cli.machine import Finding, machine_findings
from standfast.cli.run import RUN_DIR, STATE_DIR, TRUST, known_member
from standfast.cli.screen import Column, as_json, console, show, styled, table
from standfast.cli.sink_finding import sink_findings
from standfast.cli.unit import unit_trouble
from standfast.cli.words import Level
from standfast.clusterfile import Reading, read
from standfast.clusterfile.reader import contents
from standfast.errors import ClusterFileError
from standfast.model.cluster import Cluster
from standfast.trust import CLUSTER_KEY

_COLUMNS = (Column(""), Column("WHAT"), Column("FOUND", note=True))


@click.command(
    short_help="Judge a cluster file and this machine; changes nothing.",
    epilog=example("standfast check /etc/standfast/cluster.toml --member a"),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--member", "-m", "name", help="Judge this machine as that member too.")
@click.option("--trust", type=click.Path(path_type=Path), help="Its keys.  [default: trust/MEMBER next to the file]")
@click.option("--state-dir", type=click.Path(path_type=Path), help=f"Its state.  [default: {STATE_DIR}/MEMBER]")
@click.option("--run-dir", type=click.Path(path_type=Path), default=RUN_DIR, show_default=True, help="Its sockets.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def check(
    file: Path, name: str | None, trust: Path | None, state_dir: Path | None, run_dir: Path, *, json_: bool
) -> None:
    """Judge a cluster file and, with --member, this machine: programs, versions, addresses, ports, keys, storage.

    Each finding is OK, a WARNING or a PROBLEM, with what to do next. Nothing is changed. The exit code is 0 without
    problems; else it is that of the first one: 3 for the file, 4 machine, 5 keys, 6 state directory.
    """
    reading = read(contents(file))
    found = _of_file(file, reading)
    if reading.cluster is not None:
        if name is not None:
            known_member(reading.cluster, name)
            me, keys = reading.cluster.member(name), trust or file.parent / TRUST / name
            found += asyncio.run(
                machine_findings(
                    reading.cluster, me, trust=keys, state_dir=state_dir or STATE_DIR / name, run_dir=run_dir
                )
            )
            found += asyncio.run(disk_findings(reading.cluster, me, keys / CLUSTER_KEY))
            found += asyncio.run(sink_findings(reading.cluster, name))
            if trouble := unit_trouble(reading.cluster, me):
                level, text, action = trouble
                found.append(Finding(level, "systemd", text, action))
        else:
            found.append(_no_member(reading.cluster))
    if json_:
        as_json([{**msgspec.structs.asdict(f), "raises": f.raises and f.raises.__name__} for f in found])
    else:
        show(*table(_COLUMNS, ([styled(f.level, f.level), f.subject, _told(f)] for f in found), console().width))
    problems = [finding for finding in found if finding.level is Level.PROBLEM]
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise (problems[0].raises or ClusterFileError)(f"{count} must be mended before the member can run; see above.")


def _of_file(file: Path, reading: Reading) -> list[Finding]:
    """What the file says, or what is wrong with it."""
    found = [
        Finding(
            Level.PROBLEM, f"line {p.line}" if p.line else "file", f"{p.place}: {p.sentence}" if p.place else p.sentence
        )
        for p in reading.problems
    ]
    if reading.cluster is not None:
        cluster = reading.cluster
        text = (
            f"cluster {cluster.name}: {len(cluster.members)} members, {len(cluster.queue_managers)} queue managers, "
            f"lease {cluster.timing.term_ms} ms"
        )
        found.append(Finding(Level.OK, file.name, text))
    return found + [Finding(Level.WARNING, w.place or "file", w.sentence) for w in reading.warnings]


def _no_member(cluster: Cluster) -> Finding:
    names = ", ".join(member.name for member in cluster.members)
    return Finding(Level.WARNING, "machine", "only the file was judged", f"give --member, one of {names}")


def _told(finding: Finding) -> str:
    return f"{finding.found}: {finding.action}" if finding.action else finding.found
