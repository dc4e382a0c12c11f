"""What must hold between the keys of a configuration file: references, ids, what belongs together."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from distributor.domain.dialers import WebhookPlan
from distributor.domain.floor import Floor, FlowPlan
from distributor.domain.messages import BROKER_TARGET
from distributor.settings.limits import CENTURY_SECONDS
from distributor.settings.model import Settings, StandardsSettings, TokenSettings
from distributor.settings.problems import Problems, near, shown

DEFAULT_TEAM: Final = "default"

_DAYS_OF_A_MONTH: Final = 31
_TOO_LONG: Final = "is over a century at this time_scale; shorten it or raise time_scale"
_SCALED: Final = tuple(name for name in FlowPlan.__struct_fields__ if name.endswith("_seconds"))


def check(
    settings: Settings, tree: dict[str, Any], policies: Collection[str], problems: Problems
) -> None:
    """Report what does not fit together in ``settings``, as read from ``tree``."""
    _sections(settings, tree, problems)
    _flow(settings.flow, tree.get("flow"), policies, problems)
    _reps(settings, tree, problems)
    _pools(settings, tree, policies, problems)
    _http(settings, tree, problems)
    _standards(settings.standards, problems)
    if settings.mqtt is not None:
        tls = settings.mqtt.tls
        if tls is not None and (tls.cert_file is None) != (tls.key_file is None):
            problems.add("mqtt.tls", "cert_file and key_file go together; give both or neither")
    for at, dialer in enumerate(settings.dialers):
        _dialer(dialer, f"dialers[{at}]", problems)
    _ids(settings, problems)  # last: an id that is there twice makes no name unsure


def _ids(settings: Settings, problems: Problems) -> None:
    lists: dict[str, Sequence[Any]] = {
        "teams": settings.teams,
        "reps": settings.reps,
        "pools": settings.pools,
        "vendors": settings.vendors,
        "dialers": settings.dialers,
    }
    for path, items in lists.items():
        _unique(path, "id", [item.id for item in items], problems)
    if settings.http is not None:
        names = [token.name for token in settings.http.tokens]
        _unique("http.tokens", "name", names, problems)


def _unique(path: str, key: str, values: Iterable[str], problems: Problems) -> None:
    first: dict[str, int] = {}
    for at, value in enumerate(values):
        before = first.setdefault(value, at)
        if value and before != at:
            problems.add(
                f"{path}[{at}].{key}",
                f"{shown(value)} is taken by {path}[{before}]; give each its own",
            )


def _sections(settings: Settings, tree: dict[str, Any], problems: Problems) -> None:
    if "mqtt" not in tree and "http" not in tree:
        problems.add("mqtt", "missing, and [http] too; add one of them so that leads can come in")
    if not settings.reps and not problems.spoil("reps"):
        problems.add("reps", "missing; add at least one [[reps]] with an id")
    if not settings.pools and not problems.spoil("pools"):
        problems.add("pools", "missing; add one [[pools]] with an id")
    if len(settings.pools) > 1:
        problems.add(
            "pools",
            f"{len(settings.pools)} pools need [[rules]] to choose between them, and rules are not "
            "known yet to this version; keep one",
        )


def _flow(flow: FlowPlan, table: Any, policies: Collection[str], problems: Problems) -> None:
    _policy(flow.policy, "flow.policy", policies, problems)
    for name in _SCALED:
        if getattr(flow, name) / flow.time_scale > CENTURY_SECONDS:
            problems.add(f"flow.{name}", _TOO_LONG)
    # A lease shorter than the standard that nobody wrote down is a choice, not a contradiction.
    written = isinstance(table, dict) and {"first_contact_seconds", "lease_seconds"} <= set(table)
    if written and flow.first_contact_seconds >= flow.lease_seconds:
        problems.add(
            "flow.first_contact_seconds",
            f"{shown(flow.first_contact_seconds)} is not below lease_seconds "
            f"({shown(flow.lease_seconds)}); make the lease longer",
        )


def _standards(standards: StandardsSettings, problems: Problems) -> None:
    if standards.open_hours_per_day > standards.open_hours_per_month:
        problems.add(
            "standards.open_hours_per_day",
            f"{shown(standards.open_hours_per_day)} is above open_hours_per_month "
            f"({shown(standards.open_hours_per_month)}); mend one of them",
        )
    elif standards.open_hours_per_day * _DAYS_OF_A_MONTH < standards.open_hours_per_month:
        problems.add(
            "standards.open_hours_per_month",
            f"{shown(standards.open_hours_per_month)} are more than {_DAYS_OF_A_MONTH} days of "
            f"open_hours_per_day ({shown(standards.open_hours_per_day)}) have; mend one of them",
        )


def _policy(name: str, path: str, policies: Collection[str], problems: Problems) -> None:
    if name not in policies and not problems.spoil(path):
        known = near(name, sorted(policies), "policies")
        problems.add(path, f"{shown(name)} is no policy; {known}")


def _reps(settings: Settings, tree: dict[str, Any], problems: Problems) -> None:
    for at, rep in enumerate(settings.reps):
        if (rep.pace_seconds or 0) / settings.flow.time_scale > CENTURY_SECONDS:
            problems.add(f"reps[{at}].pace_seconds", _TOO_LONG)
    known = _written(tree, "teams")
    if not known:
        return  # without teams any name is one
    for at, rep in enumerate(settings.reps):
        if rep.team != DEFAULT_TEAM:
            _reference(rep.team, f"reps[{at}].team", known, "team", problems)


def _written(
    tree: dict[str, Any], path: str, key: str = "id", default: str | None = None
) -> list[str] | None:
    """What stands under ``key`` in each table of the list at ``path``, fit for a name or not. None where
    one of them has nothing there: a name that is not among the others may be right then.
    """
    tables = tree.get(path, [])
    if not isinstance(tables, list):
        return None
    values = [table.get(key, default) if isinstance(table, dict) else None for table in tables]
    if not all(isinstance(value, str | int | float) for value in values):
        return None
    return [value if isinstance(value, str) else shown(value) for value in values]


def _reference(
    value: str, path: str, known: Collection[str] | None, kind: str, problems: Problems
) -> None:
    """Report a name that is none of the ``known`` ones; None: nobody can tell."""
    if value and known is not None and value not in known and not problems.spoil(path):
        names = near(value, known, f"{kind}s")
        problems.add(path, f"{shown(value)} is no {kind}; {names}")


def _pools(
    settings: Settings, tree: dict[str, Any], policies: Collection[str], problems: Problems
) -> None:
    teams = _team_names(tree)
    reps = _written(tree, "reps")
    dialers = _written(tree, "dialers")
    if dialers is not None and "mqtt" in tree:
        dialers.append(BROKER_TARGET)
    for at, pool in enumerate(settings.pools):
        path = f"pools[{at}]"
        for place, team in enumerate(pool.teams):
            _reference(team, f"{path}.teams[{place}]", teams, "team", problems)
        for place, rep in enumerate(pool.reps):
            _reference(rep, f"{path}.reps[{place}]", reps, "rep", problems)
        if pool.policy is not None:
            _policy(pool.policy, f"{path}.policy", policies, problems)
        if pool.dialer is not None:
            _reference(pool.dialer, f"{path}.dialer", dialers, "dialer", problems)
        if problems.spoil("reps", "teams", path):
            continue
        if not Floor(digest="", reps=settings.reps).members(pool):
            problems.add(path, "no rep can take from it; change its teams, reps or skills")


def _team_names(tree: dict[str, Any]) -> list[str] | None:
    """The names of all teams; None where mistakes hide some of them."""
    listed = _written(tree, "teams")
    used = _written(tree, "reps", "team", DEFAULT_TEAM)
    if not listed:
        return None if listed is None else used
    nameless = [DEFAULT_TEAM] if used is None or DEFAULT_TEAM in used else []
    return listed + nameless


_OF_TOKENS: Final = r"http(\.host|\.tokens)?|vendors(\[\d+\](\.token_\w+)?)?"


def _http(settings: Settings, tree: dict[str, Any], problems: Problems) -> None:
    http = settings.http
    if http is None:
        return
    guarded = http.tokens or any(v.token_file or v.token_env for v in settings.vendors)
    if not guarded and not is_loopback(http.host) and not problems.about(_OF_TOKENS):
        problems.add(
            "http.tokens",
            f"missing, so {shown(http.host)} would be open to everybody; add [[http.tokens]] or "
            "listen on 127.0.0.1",
        )
    for at, token in enumerate(http.tokens):
        _token(token, f"http.tokens[{at}]", tree, problems)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(token: TokenSettings, path: str, tree: dict[str, Any], problems: Problems) -> None:
    lists: dict[str, tuple[str | None, list[str] | None]] = {
        "vendor": (token.vendor, _written(tree, "vendors")),
        "rep": (token.rep, _written(tree, "reps")),
    }
    if problems.spoil(f"{path}.role"):
        return
    for kind, (value, known) in lists.items():
        if token.role != kind:
            if value is not None:
                problems.add(f"{path}.{kind}", f"has no meaning for role {token.role}; remove it")
        elif known:  # no [[vendors]]: any vendor id is taken
            _bound(token.name, value, path, known, kind, problems)


def _bound(
    name: str, value: str | None, path: str, known: list[str], kind: str, problems: Problems
) -> None:
    """A token of role ``kind`` speaks for somebody who is there: ``value``, or who is called as it is."""
    if value is not None:
        _reference(value, f"{path}.{kind}", known, kind, problems)
    elif name and name not in known and not problems.spoil(f"{path}.{kind}"):
        names = near(name, known, f"{kind}s")
        text = f"{shown(name)} is no {kind}; add {kind} to say for whom it speaks ({names})"
        problems.add(f"{path}.name", text)


def _dialer(dialer: WebhookPlan, path: str, problems: Problems) -> None:
    if dialer.id == BROKER_TARGET:
        problems.add(f"{path}.id", f"{shown(BROKER_TARGET)} is reserved; choose another")
    if dialer.retry_max_seconds < dialer.retry_first_seconds:
        problems.add(f"{path}.retry_max_seconds", "is below retry_first_seconds; make it larger")
    asks = dialer.lookup is not None and dialer.lookup_found
    if dialer.unknown_outcome == "lookup" and not asks and not problems.spoil(path):
        problems.add(
            f"{path}.unknown_outcome",
            '"lookup" needs a lookup request and lookup_found; add them or use "repeat"',
        )
