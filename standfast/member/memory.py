"""What this member keeps on its disk of overrides: `overrides.json` in its state directory.

Guarantees: what `keep` returned from is there after the death of the machine; a file that is broken is never taken for
an empty one, because promises that were given would be forgotten with it.
"""

from pathlib import Path

import msgspec

from standfast.errors import StateError
from standfast.member.durable import write_durably
from standfast.model.override import NOTHING, Remembered

FILE = "overrides.json"

_DECODER = msgspec.json.Decoder(Remembered)


class Memory:
    """Of the state directory `folder`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def read(self) -> Remembered:
        """What was kept last; nothing when there is no file. Raises StateError."""
        try:
            return _DECODER.decode(self._file.read_bytes())
        except FileNotFoundError:
            return NOTHING
        except OSError as error:
            raise StateError(
                f"{self._file} can not be read: {error.strerror}. It must belong to the user that runs Standfast."
            ) from error
        except msgspec.MsgspecError as error:
            raise StateError(
                f"{self._file} is broken ({error}): what this member knows of overrides is lost. When no override is "
                f"in force anywhere (`standfast override show` on every member), delete the file and start this member."
            ) from error

    def keep(self, remembered: Remembered) -> None:
        """Have it on disk before returning; raises StateError."""
        try:
            write_durably(self._file, msgspec.json.encode(remembered))
        except OSError as error:
            raise StateError(
                f"{self._file} can not be written: {error.strerror}. What overrides rest on must be kept, so this "
                f"member ends. Make room there, then start it again."
            ) from error
