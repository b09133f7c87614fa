"""Runs what the host asks for, over the serial line: a JSON object a line in each direction, many at once."""

import json
import os
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
        threading.Thread(target=run, args=(json.loads(line),), daemon=True).start()
