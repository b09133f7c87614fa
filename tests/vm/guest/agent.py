"""Runs what the host asks for, over the serial line: a JSON object a line in each direction, many at once.

Or says `lines` to a socket there and gives back as many lines: starting a program takes a hundred times as long."""

import json
import os
import socket
import subprocess
import threading
import tty

LINE = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
tty.setraw(LINE)
lock = threading.Lock()


def say(answer):
    raw = json.dumps(answer).encode() + b"\n"
    with lock:
        while raw:
            raw = raw[os.write(LINE, raw) :]


def converse(asked):
    """Lines to a socket of Unix, and as many back; code 1 when nobody answers."""
    out, err = [], ""
    try:
        with socket.socket(socket.AF_UNIX) as talk:
            talk.settimeout(asked["timeout_s"])
            talk.connect(asked["socket"])
            with talk.makefile("rw") as lines:
                for line in asked["lines"]:
                    lines.write(line + "\n")
                    lines.flush()
                    out.append(lines.readline())
    except OSError as error:
        err = str(error)
    say({"id": asked["id"], "code": int(not all(out) or bool(err)), "out": "".join(out), "err": err})


def run(asked):
    try:
        done = subprocess.run(
            asked["argv"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=asked["timeout_s"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", **asked["env"]},
            cwd="/root",
            check=False,
        )
        answer = {"code": done.returncode, "out": done.stdout, "err": done.stderr}
    except subprocess.TimeoutExpired as late:
        answer = {"code": None, "out": late.stdout or b"", "err": late.stderr or b""}
    except OSError as error:
        answer = {"code": 127, "out": b"", "err": str(error).encode()}
    say(
        {"id": asked["id"], **{k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in answer.items()}}
    )


say({"id": 0})
with os.fdopen(LINE, "rb", closefd=False) as requests:
    for line in requests:
        threading.Thread(
            target=converse if "socket" in (asked := json.loads(line)) else run, args=(asked,), daemon=True
        ).start()
