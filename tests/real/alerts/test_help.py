"""A cluster that can not help itself calls for help all the same."""

from tests.real.alerts.stage import called_for_help, staged


async def test_without_a_majority_a_member_still_calls_for_help(tmp_path) -> None:
    async with staged(tmp_path) as (running, receivers):
        owner = await running.owner()
        before = len(await receivers["traps"].events())
        for name in (running.other(owner), running.witness):
            running.lab.nodes[name].kill()
        for receiver in (receivers["traps"], receivers["hook"]):
            await called_for_help(receiver, before)
        await running.back(running.other(owner), running.witness)
