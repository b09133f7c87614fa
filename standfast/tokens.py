"""Tokens by which people and programs are let in by the API: what a member keeps of them, in one file.

Guarantees: a token is shown once, when it is made, and kept only as its SHA-256; the file has mode 0600, is replaced
whole, and is on disk before a change is told to have happened; two changes at once do not lose one of them; a file that
others can read is refused.

A token has 256 random bits, so that a fast hash is the right one: there is nothing to guess.

A record of a name is never taken away, only replaced by a newer one, a revoked one too: so that members can tell each
other what they have, in any order, and all end up with the same (`merged`: the record changed last wins).
"""

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from standfast.errors import KeyFileError, UsageError

FILE = "api-tokens.json"
"""In the state directory of a member."""
PREFIX = "standfast_"
"""How each token begins, so that programs that look for leaked secrets know one."""
MOST = 1000
"""Tokens, revoked ones too."""

_BYTES = 32
_OTHERS = 0o077
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?\Z")


class Right(StrEnum):
    """What somebody may do. An operator may do all that a viewer may."""

    VIEWER = "viewer"
    OPERATOR = "operator"

    def covers(self, other: "Right") -> bool:
        """Whether who has this right may do what needs the other one."""
        return self is Right.OPERATOR or other is Right.VIEWER


class Token(Struct, frozen=True, kw_only=True):
    """What is kept of a token.

    Attributes:
        name: of who has it; unique.
        right: what it is good for.
        digest: SHA-256 of the token in hexadecimal.
        changed_unix_ms: when it was made or revoked, in milliseconds since 1970.
        expires_unix_ms: from when on it is worth nothing; 0: never.
        revoked: whether it is worth nothing any more.
    """

    name: str
    right: Right
    digest: str
    changed_unix_ms: int
    expires_unix_ms: int = 0
    revoked: bool = False

    def good(self, now_unix_ms: int) -> bool:
        """Whether it lets in at that time."""
        return not self.revoked and not 0 < self.expires_unix_ms <= now_unix_ms


def proper(name: str) -> bool:
    """Whether a name can be told in logs and on lines of their own."""
    return bool(_NAME.match(name))


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def found(tokens: Iterable[Token], token: str, now_unix_ms: int) -> Token | None:
    """The record of a token that lets in now; None when there is none. Takes equally long for all wrong ones."""
    wanted, hit = digest(token), None
    for one in tokens:
        if hmac.compare_digest(one.digest, wanted) and one.good(now_unix_ms):
            hit = one
    return hit


def merged(ours: Iterable[Token], theirs: Iterable[Token]) -> tuple[Token, ...]:
    """All of both, of each name the one that was changed last; a revoked one before another of the same moment."""
    by_name: dict[str, Token] = {}
    for token in (*ours, *theirs):
        before = by_name.get(token.name)
        if before is None or _age(before) < _age(token):
            by_name[token.name] = token
    return tuple(by_name[name] for name in sorted(by_name))


def _age(token: Token) -> tuple[int, bool, str]:
    return token.changed_unix_ms, token.revoked, token.digest


class TokenFile:
    """The tokens of a member, in its state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE
        self._known: tuple[Token, ...] = ()
        self._stamp: tuple[int, int, int] | None = None

    def read(self) -> tuple[Token, ...]:
        """All of them; cheap when nothing has changed. Raises KeyFileError when the file can not be trusted or read."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
                if found.st_mode & _OTHERS:
                    raise KeyFileError(f"{self.path} is open to others. Run `chmod 600 {self.path}`.")
                if stamp != self._stamp:
                    self._known, self._stamp = msgspec.json.decode(file.read(), type=tuple[Token, ...]), stamp
        except FileNotFoundError:
            self._known, self._stamp = (), None
        except OSError as error:
            raise KeyFileError(f"{self.path} can not be read: {error.strerror}. See whose it is.") from error
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise KeyFileError(
                f"{self.path} is broken: {error}. Move it away and make new tokens: `standfast token create`."
            ) from error
        return self._known

    def create(self, name: str, right: Right, now_unix_ms: int, expires_unix_ms: int = 0) -> str:
        """A new token; the only time that it is seen. Raises UsageError when the name has a good one already."""
        if not proper(name):
            raise UsageError(f"The name {name!r} must be 1 to 63 letters, digits, dots, dashes, underlines and @.")
        token = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)).decode().rstrip("=")
        with self._changing() as tokens:
            if any(one.name == name and one.good(now_unix_ms) for one in tokens.values()):
                raise UsageError(f"{name} has a token already: `standfast token revoke {name}` first.")
            if len(tokens) >= MOST and name not in tokens:
                raise UsageError(f"There are {MOST} tokens already, revoked ones too: use one of their names again.")
            tokens[name] = Token(
                name=name,
                right=right,
                digest=digest(token),
                changed_unix_ms=now_unix_ms,
                expires_unix_ms=expires_unix_ms,
            )
        return token

    def revoke(self, name: str, now_unix_ms: int) -> None:
        """It lets nobody in from now on; raises UsageError when there is none of that name."""
        with self._changing() as tokens:
            if name not in tokens or tokens[name].revoked:
                raise UsageError(f"There is no token {name!r} to revoke: `standfast token list` shows them.")
            later_unix_ms = max(now_unix_ms, tokens[name].changed_unix_ms + 1)  # also where a clock went backwards
            tokens[name] = structs.replace(tokens[name], revoked=True, changed_unix_ms=later_unix_ms)

    def take(self, theirs: Iterable[Token]) -> bool:
        """Take over what another member knows better; whether there was anything."""
        before = self.read()
        if merged(before, theirs)[:MOST] == before:
            return False
        with self._changing() as tokens:
            better = merged(tokens.values(), theirs)[:MOST]
            tokens.clear()
            tokens.update({token.name: token for token in better})
        return True

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Token]]:
        """The tokens by name, to be changed; written when the block ends well."""
        try:
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise KeyFileError(
                f"{self.path} can not be written: {error.strerror}. Name the member's state directory with --state-dir."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = {token.name: token for token in self.read()}
            yield tokens
            self._write(tuple(tokens[name] for name in sorted(tokens)))
        finally:
            os.close(lock)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        unfinished = self.path.with_suffix(".new")
        try:
            with contextlib.suppress(FileNotFoundError):
                unfinished.unlink()
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(tokens), indent=1) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(folder)
            os.close(folder)
        except OSError as error:
            raise KeyFileError(f"{self.path} can not be written: {error.strerror}. See that there is room.") from error
