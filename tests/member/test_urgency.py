"""The daemon is ahead of ordinary programs; nothing that it starts is, and it does not take a processor for itself."""

import json
import os
import resource
import subprocess
import sys
from typing import Any

import pytest

PRELUDE = """
import asyncio, json, os, resource, subprocess, sys, threading, time
from standfast.member import urgency, warden_kernel
from standfast.member.urgency import Priority, urgent

def policy():
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK

def of_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(policy()))
    thread.start()
    thread.join()
    return found[0]

def of_child():
    asked = "import os; print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"
    return subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True).stdout.split()
"""
ORDINARY = str(os.SCHED_OTHER)


def told(script: str, wanted: str = "REALTIME", before: str = "") -> dict[str, Any]:
    """What a process tells that runs `script` with this priority, as a dictionary `found`."""
    lines = "".join(f"        {line}\n" for line in script.strip().splitlines())
    text = (
        f"{PRELUDE}{before}\nasync def main():\n    found = {{}}\n    with urgent(Priority.{wanted}):\n{lines}"
        "    found['after'] = policy()\n    print(json.dumps(found))\nasyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def allowed() -> int:
    """What the kernel allows this user, as a child that asks for it finds out."""
    asking = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))"
    refused = subprocess.run([sys.executable, "-c", asking], capture_output=True, check=False).returncode
    return os.SCHED_OTHER if refused else os.SCHED_FIFO


def test_the_daemon_is_urgent_and_neither_its_threads_nor_its_programs_are(allowed: int):
    found = told("found.update(own=policy(), thread=of_thread(), child=of_child())")
    assert found == {"own": allowed, "thread": os.SCHED_OTHER, "child": [ORDINARY, "0"], "after": os.SCHED_OTHER}


def test_who_computes_for_too_long_is_ordinary_for_a_while(allowed: int):
    found = told(
        """
first, until = policy(), time.monotonic() + 10
while policy() == os.SCHED_FIFO and time.monotonic() < until:
    pass
found["hog"] = policy()
while policy() != first and time.monotonic() < until:
    await asyncio.sleep(0.01)
found["rested"] = policy()
""",
        before="urgency.LONGEST_S, urgency.REST_S = 0.05, 0.2",
    )
    assert found == {"hog": os.SCHED_OTHER, "rested": allowed, "after": os.SCHED_OTHER}


def test_an_operator_may_refuse_it():
    found = told("found.update(own=policy(), limit=resource.getrlimit(resource.RLIMIT_RTTIME))", wanted="ORDINARY")
    assert found["own"] == os.SCHED_OTHER
    assert found["limit"] == list(resource.getrlimit(resource.RLIMIT_RTTIME))


def test_a_kernel_that_refuses_it_is_no_reason_not_to_run():
    weak = "resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))\nif not os.getuid():\n    os.setuid(65534)\n"
    assert told("found['own'] = policy()", before=weak)["own"] == os.SCHED_OTHER


def test_a_warden_that_has_much_to_do_is_not_ended_by_the_daemons_limit():
    limits = "resource.getrlimit(resource.RLIMIT_RTTIME)"
    found = told(f"found['mine'] = {limits}\nwarden_kernel.harden()\nfound['wardens'] = {limits}")
    hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
    assert found["wardens"] == [hard, hard]
    assert found["mine"] != found["wardens"]
