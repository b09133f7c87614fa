"""What is described is what is served; nothing that can be asked lacks words, a right, or a status code."""

import inspect
from pathlib import Path

import pytest

from standfast import errors
from standfast.api import openapi
from standfast.api.answers import STATUS_OF, status_of
from standfast.api.penalties import BURST, MOST, REFILL_S, Penalties, site
from standfast.api.routes import BASE, ROUTES
from standfast.cli.endings import VERDICTS
from standfast.errors import StandfastError

ROOT = Path(__file__).parents[2]


def test_the_description_in_the_documents_is_up_to_date():
    told = (ROOT / "docs/openapi.json").read_text(encoding="utf-8")
    assert told == openapi.text(), "run: python docs/generate.py"


def test_each_route_is_described_once_with_the_right_that_it_needs():
    described = openapi.description()["paths"]
    found = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert found == {(route.method, BASE + route.path) for route in ROUTES}
    assert len({one["operationId"] for methods in described.values() for one in methods.values()}) == len(ROUTES)
    for route in ROUTES:
        operation = described[BASE + route.path][route.method.lower()]
        assert (operation["security"] == [{}]) == (route.right is None)
        assert inspect.getdoc(route.handler)


@pytest.mark.parametrize("error", [kind for kind in vars(errors).values() if inspect.isclass(kind)])
def test_every_error_has_a_status_code(error):
    if issubclass(error, StandfastError):
        assert status_of(error("")) in set(STATUS_OF.values())


def test_orders_end_with_status_codes_that_their_routes_describe():
    ends = {status_of(ending.raises("")) for ending in VERDICTS.values() if ending.raises}
    for route in ROUTES:
        if route.right == "operator":
            assert ends <= set(openapi.codes(route))


# ---------------------------------------------------------------- who fails to log in


def test_who_fails_too_often_has_to_wait_and_others_do_not():
    penalties = Penalties()
    for _ in range(BURST):
        assert penalties.wait_s("10.0.0.1", 0.0) == 0
        penalties.failed("10.0.0.1", 0.0)
    assert 0 < penalties.wait_s("10.0.0.1", 0.0) <= REFILL_S
    assert penalties.wait_s("10.0.0.2", 0.0) == 0
    assert penalties.wait_s("10.0.0.1", REFILL_S) == 0


def test_failures_are_told_at_once_then_counted():
    penalties = Penalties()
    told = [penalties.failed("10.0.0.1", at_s) for at_s in (0.0, 1.0, 2.0, 61.0)]
    assert told == [1, 0, 0, 3]


def test_however_many_fail_the_table_does_not_grow():
    penalties = Penalties()
    for number in range(MOST + 50):
        penalties.failed(f"10.{number >> 8}.{number & 255}.1", 0.0)
    assert len(penalties._accounts) == MOST


def test_addresses_of_one_ipv6_network_count_as_one():
    assert site("2001:db8::1") == site("2001:db8::ffff:2") != site("2001:db8:0:1::1")
    assert site("fe80::1%eth0") == site("fe80::2")
    assert site("10.0.0.1") != site("10.0.0.2")
