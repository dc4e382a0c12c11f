"""Published payloads of vendors and dialers: whatever they are, each has an answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distributor.intake.decode import decode_leads
from distributor.intake.decode_events import Invalid, decode_events
from distributor.intake.frame import Unreadable

NOW = 1_795_251_660_000_000_000
_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
FOLDER = Path(os.environ.get("DISTRIBUTOR_DATA", _BESIDE)) / "payloads"


def test_each_published_payload_has_an_answer() -> None:
    files = sorted(path for path in FOLDER.glob("*") if path.is_file())
    if not files:
        pytest.skip(f"{FOLDER}: no payloads there (DISTRIBUTOR_DATA names another folder)")
    for path in files:
        payload = path.read_bytes()
        leads = decode_leads("acme", payload, "http", NOW)
        assert isinstance(leads, Unreadable) or len(leads) >= 1, path.name
        events = decode_events(payload, "dialer", NOW, may_claim_dialer=True)
        if isinstance(events, list):
            assert all(isinstance(event, Invalid) for event in events), path.name
