"""The benches' own arithmetic: a wrong yardstick is worse than none."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import broker, wire
from bench.daemon import toml, wide_floor
from bench.output import finish, goal
from bench.stats import middle, percentile
from bench.wire import Frames, Load, Seen, Watch, publish_frame


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_a_percentile_is_the_smallest_sample_that_so_many_do_not_exceed(
    share: float, value: float
) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_no_samples_give_zero() -> None:
    assert (percentile([], 0.5), middle([])) == (0.0, 0.0)


def test_a_goal_is_met_on_its_own_side_of_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert goal("rate", 10.0, 9.0, least=True)
    assert not goal("seconds", 10.0, 9.0, least=False)
    assert "MISSED" in capsys.readouterr().out


def test_the_last_line_is_one_json_object_only_where_it_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    finish({"a": 1}, as_json=False)
    assert capsys.readouterr().out == ""
    finish({"a": 1}, as_json=True)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"a": 1}


@given(
    st.lists(st.binary(max_size=300), max_size=20),
    st.lists(st.integers(1, 700), min_size=1, max_size=20),
)
def test_packets_are_cut_alike_however_the_stream_is_split(
    bodies: list[bytes], steps: list[int]
) -> None:
    frames = [publish_frame("leads/in/bench", body, i + 1) for i, body in enumerate(bodies)]
    stream = b"".join(frames)
    parser, found, at = Frames(), [], 0
    for step in (*steps, len(stream) + 1):
        found += parser.feed(stream[at : at + step])
        at += step
    name = 2 + len("leads/in/bench") + 2
    assert [body[name:] for _, body in found] == bodies
    assert all(head == 0x32 for head, _ in found)


def test_every_lead_of_an_array_carries_its_own_number_and_is_seen_once() -> None:
    load = Load(port=0, topic="leads/in/bench", count=2, per_message=3, first=0)
    plan = Watch(0, [], "leads/dialer/assign", by_mark=True, want=6)
    seen, kinds, fresh = Seen([-1.0] * 6, {}, {}, 0.0), {}, 0
    name = b"leads/dialer/assign"
    for body in (*wire.payloads(load), wire.payloads(load)[0]):
        packet = len(name).to_bytes(2, "big") + name + body
        fresh += wire._note(plan, seen, kinds, packet, 7.0, fresh)
    assert fresh == 6
    assert seen.at == [7.0] * 6
    assert seen.repeats == 3
    assert seen.messages == {"leads/dialer/assign": 3}


def test_topics_of_different_reps_are_of_one_kind() -> None:
    assert wire.kind_of("leads/rep/ana/lead") == wire.kind_of("leads/rep/ben/lead")
    assert wire.kind_of("leads/dialer/assign") != wire.kind_of("leads/dialer/revoke")


def test_the_benches_floor_is_a_valid_configuration(tmp_path) -> None:
    from distributor.settings import load

    tables = {**wide_floor(3), "store": {"path": str(tmp_path / "x.db")}, "mqtt": {"port": 1}}
    path = tmp_path / "d.toml"
    path.write_text(toml(tables))
    settings = load(path)
    assert [rep.id for rep in settings.reps] == ["rep0000", "rep0001", "rep0002"]
    assert settings.flow.window == 1_000


def test_a_free_port_is_none_that_an_outgoing_connection_may_take() -> None:
    """It would be gone between the choice and the use, once in a while."""
    ports = [broker.free_port() for _ in range(200)]
    assert len(set(ports)) == len(ports)
    assert min(ports) > 1_023
    assert max(ports) < broker._outgoing_from()


def test_a_port_in_use_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", broker.free_port())) as taken:
        port = taken.getsockname()[1]
        free = broker.free_port()
        drawn = iter([port, free, free + 1])
        monkeypatch.setattr(broker._chance, "randrange", lambda *_: next(drawn))
        assert broker.free_port() not in (port, free)
