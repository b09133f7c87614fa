"""Tokens: kept as digests, changed by many, the same everywhere in the end."""

import itertools
import json
import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.errors import KeyFileError, UsageError
from standfast.tokens import Right, Token, TokenFile, digest, found, merged

NOW_MS = 1_000_000


def test_a_token_lets_in_until_it_expires_or_is_revoked(tmp_path):
    file = TokenFile(tmp_path)
    lasting, brief = file.create("a", Right.OPERATOR, NOW_MS), file.create("b", Right.VIEWER, NOW_MS, NOW_MS + 10)
    assert found(file.read(), lasting, NOW_MS).right is Right.OPERATOR
    assert found(file.read(), brief, NOW_MS + 9).name == "b"
    assert found(file.read(), brief, NOW_MS + 10) is None
    assert found(file.read(), lasting + "x", NOW_MS) is None
    file.revoke("a", NOW_MS)
    assert found(TokenFile(tmp_path).read(), lasting, NOW_MS) is None


def test_what_is_kept_is_not_the_token_and_is_for_nobody_else(tmp_path):
    file = TokenFile(tmp_path)
    token = file.create("a", Right.VIEWER, NOW_MS)
    kept = file.path.read_text()
    assert token not in kept
    assert digest(token) in kept
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.path.chmod(0o640)
    with pytest.raises(KeyFileError):
        file.read()


def test_a_name_has_one_good_token_at_a_time(tmp_path):
    file = TokenFile(tmp_path)
    first = file.create("a", Right.VIEWER, NOW_MS)
    with pytest.raises(UsageError):
        file.create("a", Right.VIEWER, NOW_MS)
    file.revoke("a", NOW_MS)
    second = file.create("a", Right.VIEWER, NOW_MS + 5)
    assert found(file.read(), second, NOW_MS) is not None
    assert found(file.read(), first, NOW_MS) is None
    with pytest.raises(UsageError):
        file.revoke("nobody", NOW_MS)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a\n", "ä", "x" * 64, "../a"])
def test_names_are_plain(tmp_path, name):
    with pytest.raises(UsageError):
        TokenFile(tmp_path).create(name, Right.VIEWER, NOW_MS)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b'[{"name":"a"}]', b"[" * 10_000])
def test_a_broken_file_lets_nobody_in_and_says_so(tmp_path, content):
    file = TokenFile(tmp_path)
    file.path.write_bytes(content)
    file.path.chmod(0o600)
    with pytest.raises(KeyFileError):
        file.read()


def _make(directory, name):
    TokenFile(directory).create(name, Right.VIEWER, NOW_MS)


def test_changes_at_once_lose_nothing(tmp_path):
    names = [f"n{number}" for number in range(12)]
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.starmap(_make, [(tmp_path, name) for name in names])
    assert [token.name for token in TokenFile(tmp_path).read()] == sorted(names)
    assert json.loads(TokenFile(tmp_path).path.read_text())


TOKENS = st.lists(
    st.builds(
        Token,
        name=st.sampled_from("ab"),
        right=st.sampled_from(Right),
        digest=st.sampled_from(["1", "2"]),
        changed_unix_ms=st.integers(0, 3),
        revoked=st.booleans(),
    ),
    max_size=3,
)


@given(st.lists(TOKENS, min_size=1, max_size=3))
def test_members_that_tell_each_other_in_any_order_end_up_with_the_same(known):
    ends = set()
    for order in itertools.permutations(known):
        held = ()
        for theirs in (*order, order[0]):
            held = merged(held, theirs)
        ends.add(tuple((one.name, one.digest, one.revoked, one.changed_unix_ms) for one in held))
    assert len(ends) == 1


@given(TOKENS)
def test_a_revoked_token_never_comes_back_by_being_told_of(known):
    revoked = Token(name="a", right=Right.VIEWER, digest="1", changed_unix_ms=4, revoked=True)
    assert revoked in merged(known, [revoked])
    assert revoked in merged(merged([revoked], known), known)
