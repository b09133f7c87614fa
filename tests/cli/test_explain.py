"""`standfast explain`: whatever short word a person meets, there is an answer."""

import json

import pytest

from standfast.cli.explain import Sort, lookup, words
from standfast.errors import KeyFileError, MachineError, UsageError
from standfast.member.hands import NO_WARDEN
from standfast.member.warden_protocol import Cause
from standfast.model.events import EventKind
from standfast.quorum.ladder import Rung
from standfast.storage.refusal import LaunchRefusal

CODES = [NO_WARDEN, Cause.WARDEN_GONE, MachineError.__name__, KeyFileError.__name__, "exit_3", "signal_9"]


@pytest.mark.parametrize("word", [*EventKind, *LaunchRefusal, *Rung, *CODES])
def test_every_word_that_a_member_says_is_explained(word):
    found = lookup(word)
    assert found.meaning
    assert found.action


def test_no_word_means_two_things():
    assert len({word.word for word in words()}) == len(words())


def test_words_are_found_as_people_write_them():
    assert lookup("member evicted").word == EventKind.MEMBER_EVICTED
    assert lookup("exit 3").word == "exit_N"


def test_a_slip_names_the_nearest_and_exits_as_a_wrong_argument(terminal):
    result = terminal("explain", "lockd")
    assert result.exit_code == UsageError.exit_code
    assert LaunchRefusal.LOCKED in result.stderr


def test_scripts_get_all_of_it(terminal):
    found = json.loads(terminal("explain", "--json").stdout)
    assert {one["sort"] for one in found} == set(Sort)
