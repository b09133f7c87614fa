"""Daily windows: when the core is told that a queue manager may move back."""

from datetime import time

import pytest
from msgspec import structs

from standfast.clusterfile.window import WindowError, window
from standfast.member.windows import Windows
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.sim.draws import cluster_of


@pytest.mark.parametrize(
    ("text", "at", "inside"),
    [
        ("02:00-04:30", time(2), True),
        ("02:00-04:30", time(4, 29, 59), True),
        ("02:00-04:30", time(4, 30), False),
        ("23:00-01:00", time(23, 30), True),
        ("23:00-01:00", time(0, 30), True),
        ("23:00-01:00", time(12), False),
    ],
)
def test_a_window_ends_before_its_last_minute_and_may_go_over_midnight(text: str, at: time, inside: bool):
    assert window(text).holds(at) is inside


@pytest.mark.parametrize("text", ["", "2-4", "25:00-26:00", "02:00-02:00", "02:00 - 04:00"])
def test_what_is_no_window_is_refused(text: str):
    with pytest.raises(WindowError):
        window(text)


def test_the_core_is_told_of_each_change_once():
    spec = structs.replace(cluster_of(3, PROFILES["fast"]).queue_managers[0], name="q", failback_window="02:00-04:00")
    view, told, clock = View().merged(1, [("specs/q", spec, 1)]), [], [time(1)]
    windows = Windows(lambda: view, told.append, lambda: clock[0])
    for hour in (1, 2, 3, 4, 5):
        clock[0] = time(hour)
        windows.look()
    assert [sorted(change.opened) for change in told] == [["q"], []]
