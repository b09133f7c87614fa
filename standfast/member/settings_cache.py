"""The settings that this member adopted last, kept in its state directory.

At the next start they stand in for what the cluster file says of timing, policy and members, until the store was
read. Guarantees: what is read is whole, and of this cluster; else nothing is. No safety rests on it: a voter speaks
only after it has read the store.
"""

import asyncio
import logging
from pathlib import Path

import msgspec

from standfast.member.durable import write_durably
from standfast.model.cluster import Cluster
from standfast.model.records import SettingsRecord

FILE = "settings.json"
_log = logging.getLogger(__name__)


class SettingsCache:
    """Of the state directory `folder`, for the cluster of that id."""

    def __init__(self, folder: Path, cluster_id: str) -> None:
        self._file = folder / FILE
        self._cluster_id = cluster_id
        self._writing: asyncio.Task[None] | None = None
        self._wanted: SettingsRecord | None = None
        self.trouble = ""
        """Why what was kept could not be used, or why it can not be kept; empty when all is well."""

    def load(self) -> SettingsRecord | None:
        """What was kept; None when there is nothing that can be used."""
        try:
            record = msgspec.json.decode(self._file.read_bytes(), type=SettingsRecord)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            self.trouble = f"{self._file} can not be read: {error}"
            _log.warning("%s; the cluster file counts until the store was read", self.trouble)
            return None
        return record if record.cluster_id == self._cluster_id else None

    def in_force(self, file: Cluster) -> Cluster:
        """What to go by until the store was read; `file`: what the cluster file says."""
        record = self.load()
        return record.in_force(file) if record is not None else file

    def keep(self, record: SettingsRecord) -> None:
        """Write it, in a thread; what is not written yet is overtaken."""
        self._wanted = record
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while (record := self._wanted) is not None:
            self._wanted = None
            try:
                await asyncio.to_thread(write_durably, self._file, msgspec.json.encode(record))
            except OSError as error:
                self.trouble = f"{self._file} can not be written: {error.strerror}"
                _log.error("%s", self.trouble)
            else:
                self.trouble = ""

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
