"""Files that are whole after a crash. Standard library only: the warden uses it, too."""

import os
from pathlib import Path


def write_durably(file: Path, content: bytes) -> None:
    """Replace a file as a whole: after a crash it holds the old content or the new one; raises OSError."""
    fresh = file.with_name(f".{file.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
