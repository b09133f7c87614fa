"""A lab is planned wherever a person says."""

from pathlib import Path

import pytest

from standfast.clusterfile import load
from standfast.errors import MachineError
from standfast.lab import network
from standfast.lab.plan import CLUSTER_FILE, plan
from standfast.managers.credentials import read_credentials


def test_a_directory_may_be_given_relative_to_the_present_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan(Path("lab"))
    written = load(tmp_path / "lab" / CLUSTER_FILE)
    assert written.queue_managers[0].storage.path == str(tmp_path / "lab" / "shared" / "orders")


def test_a_lab_is_never_planned_over(tmp_path):
    plan(tmp_path / "lab")
    with pytest.raises(MachineError):
        plan(tmp_path / "lab")


def test_a_queue_manager_that_lets_nobody_in_over_a_network_gets_a_login(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "require", lambda: None)
    options = plan(tmp_path / "lab", kind="rabbitmq", namespaces=True).queue_managers[0].options
    assert read_credentials(options["user"], options["password_file"]).password
    assert plan(tmp_path / "nats", namespaces=True).queue_managers[0].options == {}
