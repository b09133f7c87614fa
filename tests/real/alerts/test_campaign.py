"""Nothing is lost, whoever dies and whatever is down."""

import random

from tests.real.alerts.campaign import campaign
from tests.real.alerts.stage import staged

TAKEOVERS = 5


async def test_no_event_is_lost_over_takeovers_with_sinks_that_fail_at_random(tmp_path) -> None:
    async with staged(tmp_path) as (running, receivers):
        await receivers["own"].prepare()
        queues = {name: receivers[name] for name in ("mqtt", "own")}
        found = await campaign(running, random.Random(7), TAKEOVERS, queues, receivers["hook"])
    assert found["lost"] == {"mqtt": 0, "own": 0}
    assert found["in_order"] == {"mqtt": True, "own": True}
