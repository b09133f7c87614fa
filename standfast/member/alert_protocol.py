"""The part of the control protocol that is about sinks of events."""

from msgspec import Struct


class TestAlert(Struct, frozen=True, tag_field="do", tag="test_alert"):
    """Deliver a test event to a sink (empty: to all) from the asked member; answered by AlertReport."""

    sink: str = ""


class AlertTried(Struct, frozen=True, kw_only=True):
    """What came of a test of one sink; `detail`: why it failed, empty when it took the event."""

    sink: str
    detail: str
    took_ms: float


class AlertReport(Struct, frozen=True, tag_field="is", tag="alert_report"):
    """The answer to TestAlert: each sink that was tried, and the id of the event."""

    id: str
    tried: tuple[AlertTried, ...]
