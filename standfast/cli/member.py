"""`standfast member`: who votes. Keys for one more machine."""

from pathlib import Path

import click

from standfast.cli.examples import example
from standfast.cli.run import TRUST
from standfast.cli.screen import as_json, show
from standfast.clusterfile.rules import member_problems
from standfast.errors import UsageError
from standfast.model.cluster import MemberSpec, Role

_addresses = click.option(
    "--address",
    "addresses",
    multiple=True,
    required=True,
    help="One for each heartbeat link; the first also serves the store.",
)
_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.group(
    short_help="Add, remove, replace a voting member.",
    epilog=example("standfast member keys d --address 10.0.0.4 --trust ./shop/trust"),
)
def member() -> None:
    """Change who votes in a cluster that runs, one member at a time."""


@member.command(
    short_help="Make keys and a certificate for one more machine.",
    epilog=example("standfast member keys d --address 10.0.0.4 --trust ./shop/trust"),
)
@click.argument("name")
@_addresses
@click.option("--client-address", default="", help="Where its queue managers listen, if not on the first address.")
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
