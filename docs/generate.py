"""Fills the generated parts of the documents from the code. Run it as `python docs/generate.py`.

Writes whole files, too: the MIB, the schema of events, the description of the API. A generated part of a document
stands between `<!-- generated: NAME -->` and `<!-- end -->`. A test compares all of them.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from standfast.alerts import mib
from standfast.alerts.schema import schema
from standfast.api import openapi
from standfast.cli.explain import ends_markdown, events_markdown, placing_markdown, refusals_markdown
from standfast.managers.ibmmq_words import STATUSES, STRMQM
from standfast.managers.ocf_agent import CODES, SERVES, STARTED, STOPPED
from standfast.managers.registry import DRIVERS
from standfast.member.metrics import Metrics
from standfast.member.report import MemberReport, StatusReport, StoreReport
from standfast.model.cluster import Role
from standfast.model.event_fields import CARRIED, FIELDS
from standfast.model.sinks import KINDS, Choice
from standfast.model.timing import PROFILES
from standfast.ports import LinkCounters

DOCS = Path(__file__).parent
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def profiles() -> str:
    """Each profile's values, and its timeline in milliseconds."""
    names = list(PROFILES)
    heads = "".join(f" {name} |" for name in names)
    lines = [f"| value |{heads}", "|---|" + "---:|" * len(names)]
    values = ("interval_ms", "in_doubt_after", "evict_after", "graceful_ms", "kill_ms")
    lines += ["| `" + key + "` |" + "".join(f" {getattr(PROFILES[name], key)} |" for name in names) for key in values]
    lines += ["", f"| after the last acknowledged heartbeat, in ms |{heads}", "|---|" + "---:|" * len(names)]
    timelines = [PROFILES[name].timeline() for name in names]
    for steps in zip(*timelines, strict=True):
        lines.append(f"| {steps[0][1]} |" + "".join(f" {at_ms:,} |" for at_ms, _ in steps))
    return "\n".join(lines) + "\n"


def drivers() -> str:
    """Each driver with what an acknowledgement is worth, and its options."""
    lines = ["| kind | durability | what an acknowledgement is worth | options |", "|---|---|---|---|"]
    for kind, driver in DRIVERS.items():
        options = ", ".join(f"`{name}`" for name in sorted(driver.option_names))
        lines.append(f"| `{kind}` | `{driver.durability}` | {driver.durability_note} | {options} |")
    return "\n".join(lines) + "\n"


def ocf_codes() -> str:
    """What each exit code of an OCF agent's actions means here."""
    lines = ["| code | meaning | of `start` | of `monitor` |", "|---:|---|---|---|"]
    for code, meaning in CODES.items():
        start = "started" if code in STARTED else f"failed: `exit_{code}`"
        monitor = "serves" if code in SERVES else "does not run" if code in STOPPED else "does not serve"
        lines.append(f"| {code} | {meaning} | {start} | {monitor} |")
    return "\n".join(lines) + "\n"


def mq_codes() -> str:
    """Return codes of strmqm."""
    lines = ["| `strmqm` | meaning | start |", "|---:|---|---|"]
    lines += [
        f"| {code} | {m.meaning} | {'good' if m.good else f'failed: `exit_{code}`'} |" for code, m in STRMQM.items()
    ]
    return "\n".join(lines) + "\n"


def mq_statuses() -> str:
    """Status words of dspmq."""
    lines = ["| `dspmq -n` | taken as |", "|---|---|"]
    lines += [f"| {word} | {means} |" for word, means in STATUSES.items()]
    return "\n".join(lines) + "\n"


def event_fields() -> str:
    """What each kind of event carries."""
    lines = ["| event | notification | fields | may be absent |", "|---|---:|---|---|"]
    for kind, carried in CARRIED.items():
        always, perhaps = (", ".join(f"`{name}`" for name in names) for names in (carried.always, carried.perhaps))
        lines.append(f"| `{kind}` | {carried.number} | {always} | {perhaps} |")
    return "\n".join(lines) + "\n"


def fields() -> str:
    """What each field means."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {field.type} | {field.meaning} |" for name, field in FIELDS.items()]
    return "\n".join(lines) + "\n"


def sinks() -> str:
    """Each kind of sink with what it takes."""
    lines = ["| kind | url | target | options |", "|---|---|---|---|"]
    for kind, traits in KINDS.items():
        urls = ", ".join(f"`{scheme}://`" + (f" ({port})" if port else "") for scheme, port in traits.schemes.items())
        options = "<br>".join(_option(name, choice) for name, choice in traits.options.items())
        lines.append(f"| `{kind}` | {urls} | {traits.target} | {options} |")
    return "\n".join(lines) + "\n"


def _option(name: str, choice: Choice) -> str:
    words = f": {', '.join(choice.words)}" if choice.words else ""
    return f"`{name}`: {choice.meaning}{words}"


def metrics() -> str:
    """Every metric, with its help."""
    alone = MemberReport(name="a", role=Role.DATA, address="")
    status = StatusReport(
        cluster="shop",
        answered_by="a",
        at_unix_ms=0,
        timing=PROFILES["normal"],
        members=(alone,),
        queue_managers=(),
        store=StoreReport(reachable=True),
    )
    text = Metrics("shop", "a", LinkCounters()).text(status).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    lines = ["| metric | type | what it tells |", "|---|---|---|"]
    for name, told in sorted(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE)):
        if not name.endswith("_created"):
            lines.append(f"| `{name}` | {kinds[name]} | {told} |")
    return "\n".join(lines) + "\n"


def event_schema() -> str:
    """The JSON schema of events."""
    return json.dumps(schema(), indent=1) + "\n"


FILES: dict[str, Callable[[], str]] = {
    "deploy/snmp/STANDFAST-MIB.txt": mib.module,
    "deploy/events.schema.json": event_schema,
    "docs/openapi.json": openapi.text,
}
"""Files made as a whole, by their path below the root."""

PARTS: dict[str, Callable[[], str]] = {
    "profiles": profiles,
    "drivers": drivers,
    "mq_codes": mq_codes,
    "mq_statuses": mq_statuses,
    "ocf_codes": ocf_codes,
    "events": events_markdown,
    "event_fields": event_fields,
    "fields": fields,
    "sinks": sinks,
    "metrics": metrics,
    "ends": ends_markdown,
    "placing": placing_markdown,
    "refusals": refusals_markdown,
}


def filled(text: str) -> str:
    """The document with its generated parts as they must be; raises KeyError for a part that nobody makes."""
    return _PART.sub(lambda found: found[1] + PARTS[found[2]]() + found[3], text)


def main() -> None:
    """Fill all documents and write all files."""
    for page in sorted(DOCS.rglob("*.md")):
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    for name, made in FILES.items():
        file = DOCS.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
