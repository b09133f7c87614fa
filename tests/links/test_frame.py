"""The sealed frame: what is delivered, what never is, and that no input is fatal."""

import os
from collections import Counter

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from standfast.links.frame import KEY_BYTES, WINDOW, Delivery, Endpoint, Reply, Seal, encode
from standfast.model.messages import Ack
from standfast.ports import LinkCounters

KEY = bytes(range(KEY_BYTES))
A, B, C = Endpoint("a", 0), Endpoint("b", 0), Endpoint("c", 0)


def process(me: Endpoint, *peers: Endpoint, key: bytes = KEY, cluster: str = "prod-1") -> Seal:
    """A process starts: a new session and a new memory."""
    return Seal(cluster_id=cluster, key=key, me=me, peers=peers or tuple({A, B} - {me}), counters=LinkCounters())


def said(number: int, sender: str = "a") -> Ack:
    return Ack(sender=sender, incarnation=1, sent_ns=number, term_ns=1)


def frame_of(speaker: Seal, to: Endpoint, number: int = 0, sender: str = "a") -> bytes:
    return speaker.seal(to, encode(said(number, sender)))


def meet(speaker: Seal, listener: Seal, me: Endpoint = A, to: Endpoint = B) -> None:
    """One round trip: a message that is refused, and its hello."""
    reply = listener.open(frame_of(speaker, to, -1, me.member))
    assert isinstance(reply, Reply)
    assert speaker.open(reply.frame) is None


def counted(counters: LinkCounters) -> dict[str, int]:
    return {name: value for name, value in msgspec.structs.asdict(counters).items() if value}


def test_a_new_process_is_in_step_after_one_round_trip() -> None:
    a, b = process(A), process(B)
    reply = b.open(frame_of(a, B, 1))
    assert isinstance(reply, Reply)
    assert reply.to == A
    a.open(reply.frame)
    assert b.open(frame_of(a, B, 2)) == Delivery(A, said(2))
    assert counted(b.counters) == {"unmet": 1, "received": 1}
    assert counted(a.counters) == {"hellos": 1}


def test_either_side_may_restart() -> None:
    a, b = process(A), process(B)
    meet(a, b)
    b.open(frame_of(a, B))
    a = process(A)
    meet(a, b)
    assert isinstance(b.open(frame_of(a, B)), Delivery)
    b = process(B)
    meet(a, b)
    assert isinstance(b.open(frame_of(a, B)), Delivery)


def test_no_frame_of_a_former_session_comes_back_whoever_restarted() -> None:
    first, b = process(A), process(B)
    meet(first, b)
    delivered, withheld = frame_of(first, B, 1), frame_of(first, B, 2)
    assert isinstance(b.open(delivered), Delivery)
    second = process(A)
    meet(second, b)
    assert isinstance(b.open(frame_of(second, B, 3)), Delivery)
    for listener in (b, process(B)):
        for frame in (delivered, withheld):
            assert not isinstance(listener.open(frame), Delivery)
    assert isinstance(b.open(frame_of(second, B, 4)), Delivery), "and the present session is not disturbed"


def test_a_meeting_that_an_attacker_withheld_cannot_be_completed_later() -> None:
    dead, alive, b = process(A), process(A), process(B)
    meet(dead, b)
    meet(alive, b)
    withheld = frame_of(dead, B, 1)
    assert isinstance(b.open(frame_of(alive, B, 2)), Delivery)
    assert isinstance(b.open(withheld), Reply)
    assert isinstance(b.open(frame_of(alive, B, 3)), Delivery)


def test_two_processes_under_one_name_never_have_a_frame_delivered_twice() -> None:
    one, other, b = process(A), process(A), process(B)
    heard: Counter[int] = Counter()
    frames: list[bytes] = []
    for turn in range(6):
        speaker = (one, other)[turn % 2]
        meet(speaker, b)
        frames.append(frame_of(speaker, B, turn))
        for frame in frames:
            opened = b.open(frame)
            if isinstance(opened, Delivery):
                heard[opened.message.sent_ns] += 1
    assert heard == dict.fromkeys(range(6), 1)


def test_a_hello_counts_once_and_an_old_one_does_no_harm() -> None:
    a, former = process(A), process(B)
    old = former.open(frame_of(a, B))
    b = process(B)
    meet(a, b)
    assert isinstance(old, Reply)
    a.open(old.frame)
    assert a.counters.replayed == 1
    assert isinstance(b.open(frame_of(a, B)), Delivery)


def test_a_hello_to_a_former_process_means_nothing_to_its_successor() -> None:
    former, a, b = process(A), process(A), process(B)
    for _ in range(3):
        frame_of(a, B)
    reply = b.open(frame_of(former, B))
    assert isinstance(reply, Reply)
    a.open(reply.frame)
    assert counted(a.counters) == {"replayed": 1}


def test_a_counter_may_leap_however_far() -> None:
    a, b = process(A), process(B)
    meet(a, b)
    early = frame_of(a, B, 1)
    assert isinstance(b.open(frame_of(a, B, 1)), Delivery)
    a._counter = 2**63
    assert isinstance(b.open(frame_of(a, B, 2)), Delivery)
    assert b.open(early) is None


def test_a_frame_counts_only_for_the_endpoint_it_was_made_for() -> None:
    a, b, c = process(A, B, C), process(B, A, C), process(C, A, B)
    meet(a, b)
    meet(a, c, to=C)
    frame = frame_of(a, B, 1)
    assert not isinstance(c.open(frame), Delivery)
    assert a.open(frame) is None, "nor does it work when reflected"
    assert isinstance(b.open(frame), Delivery)


def test_another_cluster_is_told_from_a_wrong_key() -> None:
    b = process(B)
    assert b.open(frame_of(process(A, cluster="test-7"), B)) is None
    assert counted(b.counters) == {"other_cluster": 1}
    assert b.open(frame_of(process(A, key=os.urandom(KEY_BYTES)), B)) is None
    assert counted(b.counters) == {"other_cluster": 1, "bad_key": 1}


def test_a_member_cannot_speak_under_the_name_of_another() -> None:
    a, b = process(A), process(B)
    meet(a, b)
    assert b.open(frame_of(a, B, sender="c")) is None
    assert b.counters.malformed == 1


def test_nonces_never_repeat() -> None:
    a, again = process(A, B, C), process(A, B, C)
    frames = [frame_of(seal, to) for seal in (a, again) for to in (B, C) for _ in range(50)]
    assert len({frame[20:36] for frame in frames}) == len(frames), "session and counter together"


@given(order=st.lists(st.integers(0, WINDOW + 200), max_size=60))
def test_within_a_session_each_frame_is_delivered_at_most_once_in_any_order(order: list[int]) -> None:
    a, b = process(A), process(B)
    meet(a, b)
    frames = [frame_of(a, B, number) for number in range(WINDOW + 201)]
    newest, heard = -1, set()
    for number in order:
        fresh = number not in heard and newest - number < WINDOW
        opened = b.open(frames[number])
        assert opened == (Delivery(A, said(number)) if fresh else None)
        if fresh:
            heard.add(number)
        newest = max(newest, number)
    assert b.counters.replayed == len(order) - len(heard)


@given(bit=st.integers(0, 10_000), cut=st.integers(0, 10_000))
def test_a_damaged_frame_is_counted_once_and_never_delivered(bit: int, cut: int) -> None:
    a, b = process(A), process(B)
    meet(a, b)
    b.counters = LinkCounters()
    frame = frame_of(a, B, 1)
    flipped = bytearray(frame)
    flipped[bit // 8 % len(frame)] ^= 1 << bit % 8
    for damaged in (bytes(flipped), frame[: cut % len(frame)], frame + b"\0"):
        assert b.open(damaged) is None
    counts = counted(b.counters)
    assert sum(counts.values()) == 3
    assert counts.keys() <= {"bad_key", "malformed", "other_cluster"}
    assert isinstance(b.open(frame), Delivery), "and the true frame still arrives"


@settings(max_examples=300)
@example(junk=b"", body=b"\x91\xa3\x00\x00\x80")  # text that is not UTF-8
@example(junk=b"", body=encode(said(0)).replace(b"\x96", b"\x97", 1) + b"\x91" * 60_000)  # nested too deeply
@given(junk=st.binary(max_size=200), body=st.binary(max_size=60) | st.lists(st.integers(-(2**63), 2**64 - 1)))
def test_no_input_raises_not_even_junk_sealed_with_the_key(junk: bytes, body: bytes | list[int]) -> None:
    a, b = process(A), process(B)
    meet(a, b)
    assert b.open(junk) is None
    assert b.open(frame_of(a, B)[:36] + junk) is None
    assert b.open(a.seal(B, body if isinstance(body, bytes) else msgspec.msgpack.encode(body))) is None
    assert b.open(a._sealed(2, bytes(8), junk)) is None
    assert b.open(a._sealed(9, bytes(8), junk)) is None
    assert sum(counted(b.counters).values()) == 6


class Talk:
    """Two members that restart at any time, and an attacker who keeps every frame and plays them in any order."""

    def __init__(self) -> None:
        self.a, self.b = process(A), process(B)
        self.kept: list[bytes] = []
        self.number = 0
        self.heard: list[int] = []
        self.fresh_from = 0

    def act(self, what: int) -> None:
        if what == 0:
            self.number += 1
            self.kept.append(frame_of(self.a, B, self.number))
        elif what == 1:
            self.a = process(A)
        elif what == 2:
            self.b = process(B)
            self.fresh_from = self.number
        elif self.kept:
            self.play(self.kept[what % len(self.kept)])

    def play(self, frame: bytes) -> None:
        opened = self.b.open(frame)
        if isinstance(opened, Delivery):
            self.heard.append(opened.message.sent_ns)
            assert opened.message.sent_ns > self.fresh_from, "said before this process of the receiver began"
        answer = self.a.open(opened.frame) if isinstance(opened, Reply) else self.a.open(frame)
        assert answer is None


@settings(max_examples=300)
@given(acts=st.lists(st.integers(0, 12) | st.just(0), max_size=80))
def test_whatever_an_attacker_replays_nothing_is_delivered_twice_and_the_pair_still_meets(acts: list[int]) -> None:
    talk = Talk()
    for what in acts:
        talk.act(what)
    assert len(talk.heard) == len(set(talk.heard))
    for _ in range(2):
        talk.act(0)
        talk.play(talk.kept[-1])
    assert talk.heard[-1:] == [talk.number]
