"""`standfast member`: who votes. Adding, removing and replacing members of a cluster that runs; keys for a machine."""

from pathlib import Path

import click

from standfast.cli.asking import Asked, asking
from standfast.cli.derive import derive
from standfast.cli.endings import VERDICTS
from standfast.cli.examples import example
from standfast.cli.init import CLUSTER_FILE
from standfast.cli.run import TRUST
from standfast.cli.screen import as_json, show
from standfast.clusterfile.rules import member_problems
from standfast.errors import UsageError
from standfast.member.control_protocol import (
    AddMember,
    OrderResult,
    RemoveMember,
    ReplaceMember,
    Request,
    Status,
)
from standfast.member.report import StatusReport
from standfast.model.cluster import MemberSpec, Role
from standfast.quorum.signals import Verdict

_addresses = click.option(
    "--address",
    "addresses",
    multiple=True,
    required=True,
    help="One for each heartbeat link; the first also serves the store.",
)
_clients = click.option(
    "--client-address", default="", help="Where its queue managers listen, if not on the first address."
)
_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.group(
    short_help="Add, remove, replace a voting member.",
    epilog=example("standfast member keys d --address 10.0.0.4 --trust ./shop/trust"),
)
def member() -> None:
    """Change who votes in a cluster that runs, one member at a time. See docs/members.md."""


@member.command(
    short_help="Let one more member vote.",
    epilog=example("standfast member add d --role witness --address 10.0.0.4"),
)
@asking
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What it may do.")
@_addresses
@_clients
@_json
def add(asked: Asked, name: str, *, role: str, addresses: tuple[str, ...], client_address: str, json_: bool) -> None:
    """Let one more member, NAME, vote. Until its machine runs, it counts as one that is down.

    So prepare the machine first: Standfast and etcd installed, its keys made. Refused while an earlier change is not
    settled, or while too few members are up for the larger majority.
    """
    spec = MemberSpec(name=name, role=Role(role), addresses=addresses, client_address=client_address)
    verdict = _order(asked, AddMember(spec), json_)
    if not json_ and verdict is Verdict.DONE:
        show(f"{name} is a voter now. {_count(asked)} Until it runs, it counts as one that is down.", *_next(spec))


@member.command(
    short_help="Let a stopped or evicted member vote no more.",
    epilog=example("standfast member remove d"),
)
@asking
@click.argument("name")
@_json
def remove(asked: Asked, name: str, *, json_: bool) -> None:
    """Let NAME vote no more. It must be stopped (drain it, then stop its daemon) or evicted.

    Its etcd is taken off the store's list. Should its machine start again, it says that it was removed, and ends.
    """
    verdict = _order(asked, RemoveMember(name), json_)
    if not json_ and verdict is Verdict.DONE:
        show(f"{name} votes no more. {_count(asked)}", f"Do not start it again: systemctl disable standfast@{name}")


@member.command(
    short_help="Put another machine in the place of a dead member.",
    epilog=example("standfast member replace b --address 10.0.0.9"),
)
@asking
@click.argument("name")
@click.option("--address", "addresses", multiple=True, help="Of the new machine.  [default: those of the old one]")
@_clients
@_json
def replace(asked: Asked, name: str, *, addresses: tuple[str, ...], client_address: str, json_: bool) -> None:
    """Let another machine be the member NAME. The old one must be stopped or evicted, and must not be started again.

    At the same address nothing has to be ordered: start the new machine with an empty state directory.
    """
    verdict = _order(asked, ReplaceMember(name, addresses, client_address), json_)
    if json_:
        return
    if verdict is Verdict.ALREADY_SO:
        show(f"The cluster has {name} there already: start its machine with an empty state directory.")
    else:
        show(f"{name} is at {addresses[0]} now.", *_next(MemberSpec(name=name, role=Role.DATA, addresses=addresses)))


def _order(asked: Asked, request: Request, json_: bool) -> Verdict:
    """Give the order; raise what its verdict means."""
    verdict = asked.ask(request, OrderResult).verdict
    ending = VERDICTS[verdict]
    if json_:
        as_json({"verdict": verdict})
    if ending.raises is not None:
        raise ending.raises(ending.sentence)
    return verdict


def _count(asked: Asked) -> str:
    """How many vote now, as the member that took the order has it."""
    members = len(asked.ask(Status(), StatusReport).members)
    even = " An even number is for passing through: change one more." if members % 2 == 0 else ""
    return f"{members} members vote, {members // 2 + 1} are a majority.{even}"


def _next(spec: MemberSpec) -> list[str]:
    """What to do now, as commands."""
    address = spec.addresses[0]
    known = " ".join(f"--address {one}" for one in spec.addresses)
    return [
        "Next:",
        f"1. If it has no keys yet, where the authority is kept: standfast member keys {spec.name} {known}",
        f"2. Here: standfast config show --toml > {CLUSTER_FILE}",
        f"3. Copy {CLUSTER_FILE} to /etc/standfast/, and the keys to /etc/standfast/{TRUST}/{spec.name}/, on {address}",
        f"4. There: standfast run --file /etc/standfast/{CLUSTER_FILE} --member {spec.name}",
        "5. `standfast status --watch` until it is online.",
    ]


@member.command(
    short_help="Make keys and a certificate for one more machine.",
    epilog=example("standfast member keys d --address 10.0.0.4 --trust ./shop/trust"),
)
@click.argument("name")
@_addresses
@_clients
@click.option(
    "--trust",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(TRUST),
    show_default=True,
    help="What `standfast init` wrote: the authority, and the keys of a member at least.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where to.  [default: TRUST/NAME]")
@_json
def keys(
    name: str, *, addresses: tuple[str, ...], client_address: str, trust: Path, out: Path | None, json_: bool
) -> None:
    """Make what member NAME needs to be trusted by the others, at these addresses. Asks no member, changes no cluster.

    Do this where the authority is kept, not on a member. For a machine that takes the place of another at a new
    address, too: certificates name addresses.
    """
    spec = MemberSpec(name=name, role=Role.WITNESS, addresses=addresses, client_address=client_address)
    if problems := "; ".join(problem.sentence for problem in member_problems(spec)):
        raise UsageError(f"That can not be a member, and nothing was written: {problems}")
    from standfast.trust import issue  # noqa: PLC0415 - cryptography takes longer to load than all the rest

    folder = out or trust / name
    issue(trust, spec, folder)
    if json_:
        as_json({"member": name, "folder": str(folder)})
    else:
        show(f"Wrote {folder}. Copy it to /etc/standfast/{TRUST}/{name}/ on {addresses[0]}, and nowhere else.")


member.add_command(derive)
