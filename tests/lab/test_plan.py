"""A lab is planned wherever a person says."""

from pathlib import Path

import pytest

from standfast.clusterfile import load
from standfast.errors import MachineError
from standfast.lab.plan import CLUSTER_FILE, plan


def test_a_directory_may_be_given_relative_to_the_present_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan(Path("lab"))
    written = load(tmp_path / "lab" / CLUSTER_FILE)
    assert written.queue_managers[0].storage.path == str(tmp_path / "lab" / "shared" / "orders")


def test_a_lab_is_never_planned_over(tmp_path):
    plan(tmp_path / "lab")
    with pytest.raises(MachineError):
        plan(tmp_path / "lab")
