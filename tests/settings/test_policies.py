"""A policy that cannot be used is a problem of the file that names it, not of the running daemon."""

from __future__ import annotations

import importlib
import sys

import pytest

from distributor.errors import BadConfig
from distributor.settings import load
from distributor.settings.policies import Absent, Policies, Remembered
from distributor.settings.reload import reload

MODULE = """
from distributor.domain.policy import Policy

class Good(Policy): pass

class BadMake(Policy):
    def __init__(self): raise RuntimeError("no\\nlicence")

class BadStart(Policy):
    def start(self, pool, now_ns): raise LookupError(f"{len(pool.members)} reps are too few")

class BadWake(Policy):
    def wake_ns(self): raise LookupError("asleep")

class Wide(Policy):
    window = 0

class Half:
    def start(self, pool, now_ns): pass

number = 5
"""
ENTRIES = """[distributor.policies]
good = strangers:Good
bad_make = strangers:BadMake
bad_start = strangers:BadStart
bad_wake = strangers:BadWake
wide = strangers:Wide
half = strangers:Half
number = strangers:number
nowhere = strangers:Nowhere
gone = no_such_module:Policy
quits = quitter:Policy
"""


@pytest.fixture(autouse=True)
def strangers(tmp_path, monkeypatch):
    """Somebody's package of policies is installed."""
    installed = tmp_path / "strangers-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "strangers.py").write_text(MODULE)
    (tmp_path / "quitter.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("strangers", None)
    importlib.invalidate_caches()


@pytest.fixture
def named(tmp_path):
    """Writes a configuration whose pool names a policy."""
    path = tmp_path / "distributor.toml"

    def write(name, more=""):
        path.write_text(
            f'{more}[http]\n[[pools]]\nid = "p"\npolicy = "{name}"\n[[reps]]\nid = "ana"\n'
        )
        return path

    return write


REASONS = {
    "gone": "ModuleNotFoundError: No module named 'no_such_module'",
    "nowhere": "AttributeError: module 'strangers' has no attribute 'Nowhere'",
    "quits": "SystemExit: 3",
    "number": "TypeError: 'int' object is not callable",
    "bad_make": "RuntimeError: no licence",
    "half": "TypeError: it has no restore, changed_memory, ",
    "wide": "ValueError: its window is no whole number from 1 to 1000",
    "bad_start": "LookupError: 1 reps are too few",
    "bad_wake": "LookupError: asleep",
}


@pytest.mark.parametrize("name", REASONS)
def test_an_unusable_policy_is_refused_with_its_reason_at_the_start_and_later(named, name):
    current = load(named("good"))
    path = named(name)
    for read in (load, lambda path: reload(path, current)):
        with pytest.raises(BadConfig) as refused:
            read(path)
        (problem,) = refused.value.problems
        start = f'pools[0].policy: "{name}" cannot be used as a policy ({REASONS[name]}'
        assert problem.startswith(start)
        assert problem.endswith("); repair or uninstall its package, or name another")
        assert "\n" not in problem


def test_it_is_one_problem_among_the_others(named):
    with pytest.raises(BadConfig) as refused:
        load(named("gone", 'flow = { policy = "bad_make", lease_seconds = -1 }\n'))
    found = [problem.partition(":")[0] for problem in refused.value.problems]
    assert sorted(found) == ["flow.lease_seconds", "flow.policy", "pools[0].policy"]


def test_what_is_installed_while_we_run_is_found(tmp_path, monkeypatch):
    policies = Policies()
    assert "later" not in list(policies)
    (tmp_path / "strangers-1.dist-info" / "entry_points.txt").write_text(
        "[distributor.policies]\nlater = strangers:Good\n"
    )
    importlib.invalidate_caches()
    assert "later" in list(policies)
    assert policies["later"]().next_intent(0) is None


def test_recovery_needs_no_policy_that_the_settings_do_not_name():
    for name in ("gone", "quits", "bad_make", "number", "never installed"):
        assert Remembered()[name] is Absent
    assert Remembered()["good"] is Policies()["good"] is not Absent
