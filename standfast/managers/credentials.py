"""The user name and password by which a queue manager knows its clients, and by which the member asks it."""

from pathlib import Path

from msgspec import Struct

from standfast.errors import KeyFileError

_OTHERS = 0o077


class Credentials(Struct, frozen=True):
    """One user of a queue manager."""

    user: str
    password: str


def read_credentials(user: str, password_file: str) -> Credentials | None:
    """User and the first line of the password file; None when no user is configured.

    The file must be local to the member (it is read while a queue manager starts) and private.
    Raises KeyFileError when it is missing, empty or open to others.
    """
    if not user:
        return None
    path = Path(password_file)
    try:
        mode = path.stat().st_mode
        password = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError as error:
        raise KeyFileError(
            f"The password file {path} of user {user!r} can not be read: {error.strerror}. "
            "Create it on each data member, with mode 0600."
        ) from error
    if mode & _OTHERS:
        raise KeyFileError(f"The password file {path} can be read by others. Run: chmod 600 {path}")
    if not password:
        raise KeyFileError(f"The password file {path} is empty. Write the password of {user!r} into its first line.")
    return Credentials(user, password)


def pairing_problems(user: str, password_file: str) -> list[str]:
    """A sentence when one of the two is given without the other."""
    if bool(user) == bool(password_file):
        return []
    missing = "password_file" if user else "user"
    return [f"option {missing!r} is missing: user and password_file go together; without both, anyone may connect."]
