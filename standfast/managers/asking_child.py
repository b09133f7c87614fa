"""The disposable child that runs one program for `asking` and says what came of it. Standard library only.

A packet with {"argv", "env", "deadline_s"} comes in, one with {"code", "output"} goes out; code is null when the
program could not be executed or did not end in time.
"""

import json
import socket
import subprocess
import sys

REQUEST_BYTES = 65_536
OUTPUT_BYTES = 131_072


def main() -> None:
    """Entry point of the child: the end of the socket is the only argument."""
    with socket.socket(fileno=int(sys.argv[1])) as parent:
        parent.send(json.dumps(_outcome(json.loads(parent.recv(REQUEST_BYTES)))).encode())


def _outcome(request: dict[str, object]) -> dict[str, object]:
    argv, env = list(map(str, request["argv"])), {str(k): str(v) for k, v in dict(request["env"]).items()}  # type: ignore[call-overload]
    try:
        done = subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=float(str(request["deadline_s"])),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"code": None, "output": f"no end within {request['deadline_s']} s"}
    except OSError as error:
        return {"code": None, "output": str(error)}
    return {"code": done.returncode, "output": done.stdout[:OUTPUT_BYTES].decode(errors="replace")}
