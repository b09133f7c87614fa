"""The configuration that Mosquitto is started with."""

from pathlib import Path

from standfast.managers.mosquitto import CONFIG, Mosquitto
from standfast.ports import Place


def test_its_answers_do_not_wait_for_the_clients_kernel(tmp_path: Path):
    place = Place(name="q", data_dir=tmp_path / "data", run_dir=tmp_path / "run", address="127.0.31.8", port=1883)
    assert "set_tcp_nodelay true" in Mosquitto().launch(place).files[CONFIG].splitlines()
