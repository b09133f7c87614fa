"""Stand-ins for IBM MQ's control commands and processes, which can not be had for tests.

Written from the documented output and return codes of IBM MQ 9.4: strmqm, endmqm, dspmq, dspmqinf, addmqinf, crtmqm,
runmqsc, dspmqver. What they share with the real ones: strmqm returns when the queue manager is up and leaves processes
(amqzxma0, amqzmuc0, amqzlaa0) that went into the background and ignore SIGTERM; data and log below -md and -ld; lock
files `master` and `active` in the data directory; a machine's own list of queue managers; status words of dspmq -n;
return codes. What is their own: what the port speaks (a line "PUT text" is synced before it is answered, "GET n"
gives the first n back), and how long they take.

Installed by `install(DIR)` as DIR/bin/strmqm and so on; DIR/var is the machine's list, so that two directories are two
machines. DIR/faults makes them fail: a JSON object, `{"strmqm": 23}` for a return code, `"hangs": ["-i", "-p"]` for
modes of endmqm that come to nothing.
"""

import fcntl
import itertools
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path

VERSION = "9.4.2.0"
PYTHON = str(Path("/proc/self/exe").readlink())
"""Under the name of one of MQ's processes Python itself does not know it."""
PROGRAMS = ("strmqm", "endmqm", "dspmq", "dspmqinf", "addmqinf", "crtmqm", "runmqsc", "dspmqver")
HELPERS = ("amqzmuc0", "amqzlaa0")
ENDED = {"-i": "Ended immediately", "-p": "Ended preemptively", "-w": "Ended normally", "-c": "Ended normally"}


def install(base: Path) -> Path:
    """All programs in BASE/bin; BASE."""
    for below in ("bin", "var"):
        (base / below).mkdir(parents=True)
    for program in PROGRAMS:
        path = base / "bin" / program
        path.write_text(f"#!{sys.executable} -IS\n" + Path(__file__).read_text())
        path.chmod(0o755)
    return base


class Machine:
    """The installation that a program belongs to."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.faults = json.loads(file.read_text()) if (file := base / "faults").exists() else {}

    def stanza(self, qm: str) -> dict[str, str] | None:
        file = self.base / "var" / f"{qm}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def add(self, stanza: dict[str, str]) -> None:
        (self.base / "var" / f"{stanza['Name']}.json").write_text(json.dumps(stanza))

    def socket(self, qm: str) -> str:
        return str(self.base / "var" / f"{qm}.sock")

    def ask(self, qm: str, request: str) -> str | None:
        """What the execution controller here answers; None when there is none."""
        try:
            with socket.socket(socket.AF_UNIX) as to, to.makefile("rw") as lines:
                to.connect(self.socket(qm))
                lines.write(request + "\n")
                lines.flush()
                return lines.readline().strip()
        except OSError:
            return None


def lock(path: Path, *, take: bool = True) -> int | None:
    """The descriptor with the lock; None when another has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o660)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    if not take:
        os.close(handle)
    return handle


def setting(data: Path, name: str) -> str:
    found = re.search(rf"^\s*{name}=(.*)$", (data / "qm.ini").read_text(), re.MULTILINE)
    return found[1] if found else ""


# ---------------------------------------------------------------- the queue manager


class Controller:
    """amqzxma0: holds the locks, serves the port and the other programs."""

    def __init__(self, machine: Machine, qm: str, data: Path) -> None:
        self.machine, self.qm, self.data = machine, qm, data
        self.locks = [lock(data / "master"), lock(data / "active")]
        self.messages = Path(setting(data, "LogPath"), "messages")
        self.messages.touch()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path(self.machine.socket(self.qm)).unlink(missing_ok=True)
        control, port = socket.socket(socket.AF_UNIX), socket.socket()
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind((setting(self.data, "IPAddr"), int(setting(self.data, "Port"))))
        port.listen(64)
        threading.Thread(target=self._serve, args=(port, self._application), daemon=True).start()
        control.bind(self.machine.socket(self.qm))
        control.listen(64)
        (self.data / "qmstatus.ini").write_text("Running")
        self._serve(control, self._control)

    @staticmethod
    def _serve(listener: socket.socket, answer) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=Controller._talk, args=(connection, answer), daemon=True).start()

    @staticmethod
    def _talk(connection: socket.socket, answer) -> None:
        with connection, connection.makefile("rw") as lines:
            for line in lines:
                lines.write(answer(line.rstrip("\n")))
                lines.flush()

    def _application(self, line: str) -> str:
        verb, _, rest = line.partition(" ")
        if verb == "PUT":
            with self.messages.open("a") as out:
                out.write(rest + "\n")
                out.flush()
                os.fsync(out.fileno())
            return "OK\n"
        return "\n".join(self.messages.read_text().splitlines()[: int(rest)]) + "\n"

    def _control(self, line: str) -> str:
        if line.startswith("END"):
            (self.data / "qmstatus.ini").write_text(line.removeprefix("END "))
            os.killpg(0, signal.SIGKILL)
        return "OK\n"


def into_background(name: str, *words: str) -> None:
    """As a daemon does it: own session, no descriptors of the caller; the name is what `ps` shows."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.closerange(3, 1024)
    os.execv(PYTHON, [name, "-IS", str(Path(sys.argv[0]).absolute()), *words])


def controller(qm: str) -> None:
    """amqzxma0 -m QM, with its helpers in its process group."""
    machine = Machine(Path(sys.argv[0]).parents[1])
    for helper in HELPERS:
        if not os.fork():
            os.execv(PYTHON, [helper, "-IS", str(Path(sys.argv[0])), "-m", qm])
    Controller(machine, qm, Path(machine.stanza(qm)["DataPath"])).run()


# ---------------------------------------------------------------- the programs


def strmqm(machine: Machine, words: list[str]) -> int:
    qm, stanza = words[-1], machine.stanza(words[-1])
    if stanza is None:
        print(f"AMQ8118E: IBM MQ queue manager '{qm}' does not exist.")
        return 16
    data = Path(stanza["DataPath"])
    if not data.is_dir():
        print(f"AMQ7064E: The path '{data}' is not available.")
        return 69
    if machine.ask(qm, "PING"):
        print(f"AMQ8028E: IBM MQ queue manager '{qm}' is running.")
        return 5
    if lock(data / "active", take=False) is None:
        print(f"AMQ8003E: IBM MQ queue manager '{qm}' has an active instance elsewhere.")
        return 30 if "-x" in words else 43
    print(f"IBM MQ queue manager '{qm}' starting.\nThe queue manager is associated with installation 'Installation1'.")
    sys.stdout.flush()
    (data / "qmstatus.ini").write_text("Starting")
    into_background("amqzxma0", "-m", qm)
    until = time.monotonic() + 20
    while not machine.ask(qm, "PING"):
        if time.monotonic() > until:
            return 71
        time.sleep(0.01)
    print(f"IBM MQ queue manager '{qm}' started using V{VERSION}.")
    return 0


def endmqm(machine: Machine, words: list[str]) -> int:
    qm = words[-1]
    mode = next((word for word in words if word in ENDED), "-c")
    if not machine.ask(qm, "PING"):
        print(f"AMQ8146E: IBM MQ queue manager '{qm}' not available.")
        return 40
    if mode in machine.faults.get("hangs", ()):
        time.sleep(3600)
    machine.ask(qm, f"END {ENDED[mode]}")
    print(f"IBM MQ queue manager '{qm}' ended.")
    return 0


def dspmq(machine: Machine, words: list[str]) -> int:
    qm = words[words.index("-m") + 1]
    stanza = machine.stanza(qm)
    if stanza is None:
        print(f"AMQ7048E: The queue manager name is either not valid or not known: {qm}")
        return 72
    data = Path(stanza["DataPath"])
    told = (data / "qmstatus.ini").read_text() if (data / "qmstatus.ini").exists() else "Ended normally"
    held = lock(data / "active", take=False) is None
    here = Path(machine.socket(qm)).exists() and _controller_runs(qm)
    if held and not here:
        told = "Running elsewhere"
    elif told in ("Running", "Starting") and not held and not here:
        told = "Ended unexpectedly"
    told = machine.faults.get("status", told)
    print(f"QMNAME({qm}){' ' * 40}STATUS({told.upper() if '-n' in words else told})")
    if "-x" in words and held:
        print(f"    INSTANCE({socket.gethostname()}) MODE(Active)")
    return 0


def _controller_runs(qm: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0] == "amqzxma0" and qm in words:
            return True
    return False


def dspmqinf(machine: Machine, words: list[str]) -> int:
    stanza = machine.stanza(words[-1])
    if stanza is None:
        print(f"AMQ7204E: There is no configuration of queue manager '{words[-1]}'.")
        return 44
    print("QueueManager:\n" + "\n".join(f"   {name}={value}" for name, value in stanza.items()))
    return 0


def addmqinf(machine: Machine, words: list[str]) -> int:
    given = dict(after.split("=", 1) for word, after in itertools.pairwise(words) if word == "-v")
    if not {"Name", "Directory", "Prefix"} <= given.keys():
        return 46
    if machine.stanza(given["Name"]):
        print(f"AMQ7276E: IBM MQ configuration for '{given['Name']}' already exists.")
        return 45
    if not Path(given["DataPath"]).is_dir():
        return 1
    machine.add({**given, "InstallationName": "Installation1"})
    print("IBM MQ configuration information added.")
    return 0


def crtmqm(machine: Machine, words: list[str]) -> int:
    qm, given = words[-1], dict(zip(words[:-1:2], words[1:-1:2], strict=True))
    if machine.stanza(qm):
        print(f"AMQ8110E: IBM MQ queue manager '{qm}' already exists.")
        return 8
    directory = qm.replace(".", "!").replace("/", "&")
    data, log = Path(given["-md"], directory), Path(given["-ld"], directory)
    for path in (data, log):
        path.mkdir()
    ini = f"Log:\n   LogPath={log}/\n   LogWriteIntegrity=TripleWrite\nTCP:\n   Port={given['-p']}\n   IPAddr=\n"
    (data / "qm.ini").write_text(ini)
    stanza = {"Name": qm, "Directory": directory, "Prefix": "/var/mqm", "DataPath": str(data)}
    machine.add({**stanza, "InstallationName": "Installation1"})
    print(f"IBM MQ queue manager '{qm}' created.\nThe queue manager is associated with installation 'Installation1'.")
    return 0


def runmqsc(machine: Machine, words: list[str]) -> int:
    qm, script = words[-1], sys.stdin.read().splitlines()
    if machine.ask(qm, "PING") is None:
        print("AMQ8146E: IBM MQ queue manager not available.\n\nNo MQSC commands read.")
        return 20
    failed = 0
    for number, line in enumerate(script, 1):
        print(f"     {number} : {line}")
        if re.match(r"(PING|DEFINE|ALTER|SET|START|DISPLAY|\*)", line):
            with Path(machine.stanza(qm)["DataPath"], "mqsc").open("a") as out:
                out.write(line + "\n")
        else:
            failed += 1
            print("AMQ8405E: Syntax error detected at or near end of command segment below:-")
    told = f"{failed or 'No'} commands have a syntax error."
    print(f"{len(script)} MQSC commands read.\n{told}\nAll valid MQSC commands were processed.")
    return 10 if failed else 0


def main() -> None:
    program, words = Path(sys.argv[0]).name, sys.argv[1:]
    if words[:1] == ["-m"] and program == "strmqm":  # what strmqm has executed under the name of a process
        name = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode()
        if name in HELPERS:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        controller(words[1])
    if program == "dspmqver":
        print(VERSION)
        sys.exit(0)
    machine = Machine(Path(sys.argv[0]).absolute().parents[1])
    code = machine.faults.get(program)
    sys.exit(code if code is not None else globals()[program](machine, words))


if __name__ == "__main__":
    main()
