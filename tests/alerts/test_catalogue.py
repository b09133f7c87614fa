"""Every event has its words, its fields and its number. What the core tells is held against them in tests/sim."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from standfast.alerts import mib
from standfast.alerts.cloudevents import cloud_event, encoded, sequence
from standfast.alerts.schema import schema
from standfast.model.event_fields import CARRIED, FIELDS, FieldType, wrong
from standfast.model.events import CATALOGUE, EventKind, Severity
from standfast.model.told import StoredEvent

ROOT = Path(__file__).parents[2]
SAMPLES = {FieldType.TEXT: 'a "text"\n', FieldType.WHOLE: 7, FieldType.NUMBER: 0.5, FieldType.FLAG: True}


def sample(kind: EventKind) -> StoredEvent:
    names = (*CARRIED[kind].always, *CARRIED[kind].perhaps)
    return StoredEvent(
        id="w.018f.0000000001",
        time="2026-11-22T21:35:03.123Z",
        member="w",
        severity=CATALOGUE[kind].severity,
        kind=kind.value,
        subject="orders",
        fields={name: SAMPLES[FIELDS[name].type] for name in names},
        revision=81,
    )


@pytest.mark.parametrize("kind", EventKind)
def test_each_kind_has_words_fields_and_a_place_in_schema_and_mib(kind):
    assert CATALOGUE[kind].meaning
    assert CATALOGUE[kind].action
    assert wrong(kind, sample(kind).fields) == []
    jsonschema.validate(cloud_event(sample(kind), "shop"), schema())
    assert re.search(rf"^{mib.notification_name(kind)} NOTIFICATION-TYPE$", mib.module(), re.MULTILINE)


@pytest.mark.parametrize("kind", [kind for kind in EventKind if CARRIED[kind].always])
def test_the_schema_refuses_an_event_without_its_fields(kind):
    bare = cloud_event(sample(kind), "shop")
    bare["data"]["fields"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bare, schema())


def test_numbers_and_fields_are_used_once_and_none_is_idle():
    numbers = [carried.number for carried in CARRIED.values()]
    assert len({*numbers}) == len(numbers) == len(EventKind)
    used = {name for carried in CARRIED.values() for name in (*carried.always, *carried.perhaps)}
    assert used == {*FIELDS}


def test_what_is_written_is_one_line_of_json_and_ordered_as_the_log():
    first, second = sample(EventKind.QM_RUNNING), sample(EventKind.QM_RUNNING)
    assert json.loads(encoded(first, "shop")) == cloud_event(first, "shop")
    assert b"\n" not in encoded(first, "shop")
    later = [sequence(StoredEvent(**{**said(second), "revision": r, "order": o})) for r, o in ((81, 1), (82, 0))]
    assert [sequence(first), *later] == sorted([sequence(first), *later])


def said(event: StoredEvent) -> dict:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_an_event_of_a_newer_release_leaves_as_well():
    event = StoredEvent(**{**said(sample(EventKind.QM_RUNNING)), "kind": "qm_sang", "fields": {"tune": "la"}})
    jsonschema.validate(cloud_event(event, "shop"), schema())


def test_the_mib_passes_smilint_and_net_snmp_finds_its_names(tmp_path):
    shutil.copy(ROOT / "deploy/snmp/STANDFAST-MIB.txt", tmp_path / "STANDFAST-MIB")
    for base in (Path(__file__).parent / "mibs").iterdir():
        shutil.copy(base, tmp_path)
    (tmp_path / "smi.conf").write_text(f"path {tmp_path}\n")
    # Level 5 would name the nodes above the root, which are not this module's to define.
    lint = ["smilint", "-c", str(tmp_path / "smi.conf"), "-s", "-l", "4", str(tmp_path / "STANDFAST-MIB")]
    assert subprocess.run(lint, capture_output=True, text=True, check=True).stderr == ""
    names = [f"{mib.MODULE}::{mib.notification_name(kind)}" for kind in EventKind]
    ask = ["snmptranslate", "-M", str(tmp_path), "-m", mib.MODULE, "-On", *names]
    told = subprocess.run(
        ask, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin", "SNMP_PERSISTENT_DIR": str(tmp_path)}
    ).stdout.split()
    assert told == [f".{mib.ROOT}.0.{CARRIED[kind].number}" for kind in EventKind]


def test_enums_of_the_mib_have_a_label_for_each_word():
    for word in Severity:
        assert f"{mib.label(word)}(" in mib.TOLD[2].syntax
