"""The commands that a minder runs for IBM MQ: `start` and `status`. Standard library only.

`start`, with the storage claimed: ends what is left of the queue manager here, makes it known on this machine (or
creates it, the first time of all), looks at where its log is, runs strmqm, and once its first configuration.
`status`: dspmq, and a PING to the command server's own program, so that a queue manager that hangs does not count.

Everything that must be the same on all members lies beside the data: `standfast-mq.json` (how this machine knows it),
`standfast-mq-secrets.json` (mode 0600: the secrets made for its first configuration).
"""

import contextlib
import itertools
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from standfast.managers.ibmmq_words import (
    STANZA_MISSING,
    STANZA_THERE,
    STATUS_CODES,
    STRMQM,
    Standing,
    fields,
    standing,
    status_of,
)

EXIT_PORT_TAKEN = 98
EXIT_NOT_KNOWN = 44
EXIT_LOG_ELSEWHERE = 100
EXIT_NOT_CONFIGURED = 10
RECORD = "standfast-mq.json"
SECRETS = "standfast-mq-secrets.json"
SECRET = re.compile(r"\{secret:([A-Za-z0-9_-]+)\}")
_SECRET_BYTES = 24
_KILLED_S = 5.0
_PAUSE_S = 0.005


class Mq:
    """One queue manager as the arguments describe it: see `ibmmq.IbmMq`."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.qm = str(given["qm"])
        self._bin = Path(given["installation"], "bin")
        self._data = Path(given["data_dir"])
        self._address, self._port = str(given["address"]), int(given["port"])
        self._create, self._mqsc = bool(given["create"]), str(given["mqsc"])

    def _run(self, program: str, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(self._bin / program), *words]
        return subprocess.run(
            command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )

    # ------------------------------------------------------------ start

    def start(self) -> int:
        """Start it; the exit code of strmqm, or one of those above."""
        end_leftovers(self.qm)
        self._require_port()
        fresh = self._require_known()
        self._require_log()
        done = self._run("strmqm", self.qm)
        code = STRMQM.get(done.returncode)
        _say(f"strmqm: {done.returncode} ({code.meaning if code else 'not documented'})\n{done.stdout}")
        if code is None or not code.good:
            if done.returncode == 30:  # noqa: PLR2004 - the table's word for a standby
                self._run("endmqm", "-x", self.qm)
            return done.returncode or 1
        if fresh or not self._record().get("configured"):
            self._configure()
        return 0

    def _require_port(self) -> None:
        """A queue manager whose listener finds its port taken would run on without it. No address: all of them."""
        with socket.socket(socket.AF_INET6 if ":" in self._address else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((self._address, self._port))
            except OSError as error:
                _refuse(EXIT_PORT_TAKEN, f"{self._address}:{self._port}: {error.strerror}")

    def _require_known(self) -> bool:
        """This machine knows it, by its own mqs.ini or from the record beside the data; whether it was created now."""
        done = self._run("dspmqinf", self.qm)
        if done.returncode == 0:
            stanza = dict(line.strip().split("=", 1) for line in done.stdout.splitlines() if "=" in line)
            self._write({**self._record(), "stanza": stanza})
            return False
        known = self._record().get("stanza")
        if done.returncode != STANZA_MISSING:
            _refuse(done.returncode, f"dspmqinf: {done.stdout}")
        if known:
            kept = (f"{name}={known[name]}" for name in ("Name", "Directory", "Prefix", "DataPath") if name in known)
            words = [word for pair in kept for word in ("-v", pair)]
            added = self._run("addmqinf", "-s", "QueueManager", *words)
            if added.returncode not in (0, STANZA_THERE):
                _refuse(added.returncode, f"addmqinf: {added.stdout}")
            return False
        if not self._create:
            _refuse(
                EXIT_NOT_KNOWN,
                f"{self.qm} is not known on this machine, and {self._data / RECORD} does not say where it is. Start it "
                "first on the machine that knows it, run addmqinf here, or set create = true for a new one",
            )
        self._make()
        return True

    def _make(self) -> None:
        qmgrs, log = self._data / "qmgrs", self._data / "log"
        try:
            for path in (qmgrs, log):
                path.mkdir(mode=0o2770, exist_ok=True)
        except OSError as error:
            _refuse(EXIT_LOG_ELSEWHERE, f"{self._data} can not be used: {error}")
        done = self._run("crtmqm", "-md", str(qmgrs), "-ld", str(log), "-p", str(self._port), self.qm)
        _say(f"crtmqm: {done.returncode}\n{done.stdout}")
        if done.returncode != 0:
            _refuse(done.returncode, f"crtmqm {self.qm} has failed")
        self._require_known()

    def _require_log(self) -> None:
        """The log is on the claimed storage: else what was acknowledged would stay behind on a dead machine."""
        stanza = self._record().get("stanza", {})
        data = Path(stanza.get("DataPath") or Path(stanza.get("Prefix", "/"), "qmgrs", stanza.get("Directory", "")))
        try:
            text = (data / "qm.ini").read_text()
        except OSError as error:
            _refuse(EXIT_LOG_ELSEWHERE, f"{data / 'qm.ini'} can not be read: {error.strerror}")
        found = re.search(r"^\s*LogPath\s*=\s*(.+?)\s*$", text, re.MULTILINE)
        log = Path(found[1]) if found else Path("/var/mqm/log")
        for path in (data, log):
            if not path.resolve().is_relative_to(self._data.resolve()):
                _refuse(EXIT_LOG_ELSEWHERE, f"{path} is not below the storage {self._data}: a takeover would miss it")
        if re.search(r"^\s*LogWriteIntegrity\s*=\s*SingleWrite", text, re.MULTILINE):
            _say("warning: LogWriteIntegrity=SingleWrite is safe only on storage that writes 4 KiB as a whole")

    def _configure(self) -> None:
        if self._mqsc:
            made: dict[str, str] = {}
            with contextlib.suppress(FileNotFoundError):
                made = json.loads((self._data / SECRETS).read_text())
            script = Path(self._mqsc).read_text()
            for name in SECRET.findall(script):
                made.setdefault(name, secrets.token_urlsafe(_SECRET_BYTES))
            _replace(self._data / SECRETS, made)
            done = self._run("runmqsc", self.qm, text=SECRET.sub(lambda found: made[found[1]], script))
            # Its output repeats the script, secrets and all.
            counts = [line for line in done.stdout.splitlines() if re.match(r"^(\d+|No|One|All) ", line)]
            _say(f"first configuration: runmqsc {done.returncode}\n" + "\n".join(counts))
            if done.returncode != 0:
                self._run("endmqm", "-i", self.qm)
                _refuse(EXIT_NOT_CONFIGURED, f"{self._mqsc} was not carried out as a whole: correct it")
        self._write({**self._record(), "configured": True})

    def _record(self) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return dict(json.loads((self._data / RECORD).read_text()))
        return {}

    def _write(self, record: Mapping[str, Any]) -> None:
        if record != self._record():
            _replace(self._data / RECORD, record)

    # ------------------------------------------------------------ status

    def status(self) -> int:
        """One of STATUS_CODES, with a line for people."""
        done = self._run("dspmq", "-m", self.qm, "-n", "-o", "status", "-x")
        status = status_of(done.stdout, self.qm)
        found = standing(status) if done.returncode == 0 else Standing.UNKNOWN
        _tell(f"dspmq {done.returncode}: {status or done.stdout.strip()}")
        if found is Standing.SERVES:
            answer = self._run("runmqsc", self.qm, text="PING QMGR\n")
            if answer.returncode != 0:
                _tell(f"runmqsc {answer.returncode}: it does not answer PING QMGR")
                return STATUS_CODES[Standing.UNKNOWN]
        return STATUS_CODES[found]


def processes_of(qm: str) -> list[int]:
    """Processes of that queue manager here: MQ's programs with exactly that name after `-m`, or at the end."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid, words = int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            if words and re.match(r"(amq|runmq)\w*$", os.path.basename(words[0])) and _names(words, qm):  # noqa: PTH119
                found.append(pid)
    return found


def _names(words: Sequence[str], qm: str) -> bool:
    named = [after for word, after in itertools.pairwise(words) if word == "-m"]
    return qm in named or f"-m{qm}" in words or (not named and words[-1] == qm)


def end_leftovers(qm: str) -> None:
    """SIGKILL to all of them until none is left: the logger first, as IBM's own sample does it."""
    until_s = time.monotonic() + _KILLED_S
    while pids := [pid for pid in processes_of(qm) if pid != os.getpid()]:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() >= until_s:
            _refuse(24, f"processes of {qm} do not end: {pids}")
        time.sleep(_PAUSE_S)


def _replace(path: Path, content: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:  # noqa: PTH123
            json.dump(content, out)
            out.flush()
            os.fsync(out.fileno())
        fresh.rename(path)
    except OSError as error:
        _refuse(EXIT_LOG_ELSEWHERE, f"{path} can not be written: {error.strerror}")


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _say(text: str) -> None:
    sys.stderr.write(f"standfast: {text.strip()}\n")


def _refuse(code: int, text: str) -> NoReturn:
    _say(text)
    sys.exit(code or 1)


def main() -> None:
    """Entry point: `start` or `status`, and the description of the queue manager as JSON."""
    mq = Mq(json.loads(sys.argv[2]))
    sys.exit(mq.start() if sys.argv[1] == "start" else mq.status())


__all__ = ["Mq", "end_leftovers", "fields", "main", "processes_of"]
