"""What the simulator found is a file that promtool takes, and says of which release it is."""

import subprocess

import pytest

from standfast import __version__
from standfast.cli.sim_metrics import write_metrics
from standfast.errors import UsageError
from standfast.sim.campaign import Plan, Tally


def test_a_tally_is_a_file_for_prometheus(tmp_path):
    file = tmp_path / "sim.prom"
    write_metrics(file, Plan(members=3, minutes=2.0, timing=None), Tally(runs=7))
    text = file.read_text()
    assert f'version="{__version__}"' in text
    assert "standfast_sim_runs 7.0" in text.splitlines()
    told = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


def test_a_place_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError):
        write_metrics(tmp_path / "nowhere" / "sim.prom", Plan(members=3, minutes=2.0, timing=None), Tally())
