"""What hinders a member as a whole makes it unfit for everything, at once and for as long as it lasts."""

import asyncio

from standfast.member.fitness import Fitness
from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.model.view import View
from standfast.quorum import signals as sig
from standfast.quorum.placement import ALL
from tests.member.warden_stage import until


async def test_a_hindrance_comes_and_goes():
    members = tuple(MemberSpec(name=name, role=Role.DATA, addresses=(f"127.0.91.{n}",)) for n, name in enumerate("abc"))
    hindrance = ["its watchdog is missing"]
    given: list[sig.Input] = []
    fitness = Fitness(
        Cluster(name="shop", id="0123456789abcdef", members=members),
        place=None,
        view=View,
        give=given.append,
        reporter=None,
        hindrance=lambda: hindrance[0],
    )
    running = asyncio.create_task(fitness.run())
    await until(lambda: given)
    for reason, unfit in (("", ()), ("gone again", (ALL,)), ("", ())):
        hindrance[0] = reason
        fitness.look_again()
        await until(lambda unfit=unfit: given[-1] == sig.FitnessChanged(unfit))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [change.unfit for change in given] == [(ALL,), (), (ALL,), ()]
