"""Members of a running cluster are added, removed and replaced, one at a time, under a load that notices nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.clusterfile import load
from standfast.drill.audit import Verdict as Kept
from standfast.drill.audit import audit
from standfast.errors import NotAMember
from standfast.lab.node import Node
from standfast.lab.plan import CLUSTER_FILE, RUN, STATE, TRUST
from standfast.managers.nats import Nats
from standfast.member.control_protocol import AddMember, RemoveMember, ReplaceMember, Request
from standfast.member.report import StatusReport
from standfast.model.cluster import MemberSpec, Role
from standfast.model.records import MemberState
from standfast.quorum.signals import Verdict
from standfast.trust import issue
from tests.real.running import Running, lasting, proxy, started, until
from tests.real.test_story import LastingLoad

ENDS_S = 20.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    lives = lasting(started(tmp_path_factory.mktemp("members")))
    running = next(lives)
    with proxy(running.lab) as port:
        under = LastingLoad(port)
        yield running
        found = audit(under.end(), Nats.durability)
    assert found.verdict is Kept.KEPT, found
    assert found.acked > 0
    next(lives, None)


def spec_of(cluster: Running, name: str, number: int, role: Role = Role.WITNESS) -> MemberSpec:
    net = cluster.lab.cluster.members[0].addresses[0].rpartition(".")[0]
    return MemberSpec(name=name, role=role, addresses=(f"{net}.{number}",))


def write_file(directory: Path, *specs: MemberSpec) -> None:
    """The file of a cluster that runs, with these members in it."""
    file = directory / CLUSTER_FILE
    text = file.read_text()
    if "edition" not in text:
        text = text.replace("[cluster]\n", "[cluster]\nedition = 1\n")
    for spec in specs:
        text += f'\n[[member]]\nname = "{spec.name}"\nrole = "{spec.role}"\naddresses = ["{spec.addresses[0]}"]\n'
    file.write_text(text)
    load(file)


async def ordered(cluster: Running, order: Request, by: str = "a") -> Verdict:
    """The verdict, once the change before is settled."""
    while (verdict := await cluster.order(order, by=by)) is Verdict.NOT_SETTLED:
        await cluster.lab.until(lambda _: True)
    return verdict


async def enrol(cluster: Running, spec: MemberSpec) -> None:
    """Keys and file first, then the order, then its machine."""
    lab = cluster.lab
    issue(lab.directory / TRUST, spec, lab.directory / TRUST / spec.name)
    write_file(lab.directory, spec)
    assert await ordered(cluster, AddMember(spec)) is Verdict.DONE
    node = lab.nodes[spec.name] = Node(lab.directory, spec.name)
    node.start()
    lab.sockets[spec.name] = node.socket
    await lab.until_whole()


async def dismiss(cluster: Running, name: str) -> Node:
    lab = cluster.lab
    assert await cluster.order(RemoveMember(name), by="a") in {Verdict.NOT_GONE, Verdict.TOO_FEW_MEMBERS}
    lab.nodes[name].stop()
    node = lab.nodes.pop(name)
    del lab.sockets[name]
    assert await ordered(cluster, RemoveMember(name)) is Verdict.DONE
    await lab.until_whole()
    return node


def voters(report: StatusReport) -> list[str]:
    return [member.name for member in report.members]


async def test_from_three_to_five_and_back_and_the_removed_do_not_return(cluster: Running) -> None:
    lab, placing = cluster.lab, await cluster.placing()
    d, e = spec_of(cluster, "d", 4), spec_of(cluster, "e", 5)
    await enrol(cluster, d)
    assert voters(await lab.report()) == ["a", "b", "d", "w"]
    assert await cluster.order(AddMember(d)) is Verdict.ALREADY_A_MEMBER
    assert await cluster.order(AddMember(spec_of(cluster, "x", 4))) is Verdict.ADDRESS_TAKEN
    await enrol(cluster, e)
    assert voters(await lab.report()) == ["a", "b", "d", "e", "w"]
    lab.nodes["w"].kill()
    lab.nodes["e"].kill()
    await lab.until(lambda report: {m.name for m in report.members if m.state is MemberState.EVICTED} == {"w", "e"})
    assert await cluster.placing() == placing, "two of five may be lost"
    await cluster.back("w", "e")
    await dismiss(cluster, "e")
    node = await dismiss(cluster, "d")
    assert voters(await lab.report()) == ["a", "b", "w"]
    assert await cluster.order(RemoveMember("w")) is Verdict.TOO_FEW_MEMBERS
    node.start()
    await until(lambda: node.pid is None, ENDS_S)
    assert f"exit code {NotAMember.exit_code}" in node.failure
    assert await cluster.placing() == placing
    assert voters(await lab.report()) == ["a", "b", "w"]


async def test_a_dead_machine_is_replaced_at_another_address_and_stays_out(cluster: Running, tmp_path: Path) -> None:
    lab, (owner, epoch) = cluster.lab, await cluster.placing()
    assert owner is not None
    dead = cluster.other(owner)
    there = spec_of(cluster, dead, 9, Role.DATA)
    assert await cluster.order(ReplaceMember(dead, there.addresses), by=owner) is Verdict.NOT_GONE
    lab.nodes[dead].kill()
    old = Node(tmp_path, dead)
    move_away(lab.directory, tmp_path, dead)
    issue(lab.directory / TRUST, there, lab.directory / TRUST / dead)
    await lab.until(lambda report: any(m.state is MemberState.EVICTED for m in report.members), seen_by=[owner])
    assert await ordered(cluster, ReplaceMember(dead, there.addresses), by=owner) is Verdict.DONE
    file = lab.directory / CLUSTER_FILE
    file.write_text(file.read_text().replace(lab.cluster.member(dead).addresses[0], there.addresses[0]))
    await cluster.back(dead)
    assert (await cluster.member(dead)).address == there.addresses[0]
    assert await cluster.placing() == (owner, epoch)
    old.start()
    await until(lambda: old.pid is None, ENDS_S)
    assert f"exit code {NotAMember.exit_code}" in old.failure


def move_away(directory: Path, target: Path, name: str) -> None:
    """The dead machine's disk, as it was."""
    (target / RUN).mkdir()
    shutil.copy(directory / CLUSTER_FILE, target)
    for part in (STATE, TRUST):
        (target / part).mkdir()
        shutil.move(directory / part / name, target / part / name)
