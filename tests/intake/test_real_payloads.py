"""Published payloads of vendors and dialers: whatever they are, each has an answer."""

from __future__ import annotations

from distributor.intake.decode import decode_leads
from distributor.intake.decode_events import Invalid, decode_events
from distributor.intake.frame import Unreadable
from tests.real import need_data

NOW = 1_795_251_660_000_000_000


def test_each_published_payload_has_an_answer() -> None:
    files = sorted(path for path in need_data("payloads").glob("*") if path.is_file())
    assert files
    for path in files:
        payload = path.read_bytes()
        leads = decode_leads("acme", payload, "http", NOW)
        assert isinstance(leads, Unreadable) or len(leads) >= 1, path.name
        events = decode_events(payload, "dialer", NOW, may_claim_dialer=True)
        if isinstance(events, list):
            assert all(isinstance(event, Invalid) for event in events), path.name
