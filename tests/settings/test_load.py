"""The configuration file is read as a whole: all of it is good, or every mistake is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributor.errors import BadConfig
from distributor.settings import LogSettings, Settings, load, parse, read_secret, to_floor

FLOOR = """
[[reps]]
id = "ana"
[[pools]]
id = "default"
"""

MINIMAL = """
[http]
[[pools]]
id = "default"
[[reps]]
id = "ana"
"""

TEN_MISTAKES = """
rules = []

[store]
synchronous = "sometimes"

[mqtt]
prot = 1883
port = "1883"
password = "hunter2"

[http]
host = "0.0.0.0"

[flow]
time_scale = 0
lease_seconds = nan
policy = "leese"

[[teams]]
id = "north"
[[teams]]
id = "south"

[[reps]]
id = "ana"
team = "north"
[[reps]]
id = "ana"
team = "nroth"
window = 0

[[pools]]
id = "default"
reps = ["zoe"]
dialer = "cloud"
"""


def test_the_minimal_configuration_of_the_contract_is_good(config, tmp_path):
    """[store], one of [http] and [mqtt], one pool and some reps must run."""
    for section in ("[http]", "[mqtt]"):
        text = f"[store]\n{section}\n[[pools]]\nid = 'p'\n[[reps]]\nid = 'ana'\n"
        found = load(config(text))
        assert found.store.path == str(tmp_path / "data/distributor.db")
        assert [rep.team for rep in found.reps] == ["default"]
        floor = to_floor(found)
        assert [team.id for team in floor.teams] == ["default"]
        assert floor.members(floor.pools[0]) == found.reps


def test_the_whole_example_of_the_contract_is_good_without_its_rules(problems):
    """The keys are fixed: other systems' configurations are written after this example."""
    text = """
[store]
path = "data/distributor.db"
synchronous = "full"
[mqtt]
host = "127.0.0.1"
port = 1883
topic_prefix = "leads"
client_id = "distributor"
[http]
host = "127.0.0.1"
port = 8080
[flow]
policy = "lease"
first_contact_seconds = 60
lease_seconds = 600
offline_grace_seconds = 0
visible_throttle = true
time_scale = 1.0
[[teams]]
id = "north"
manager = "mia"
timezone = "America/New_York"
[[reps]]
id = "ana"
name = "Ana Alvarez"
team = "north"
skills = ["auto", "es"]
[[pools]]
id = "default"
teams = ["north"]
policy = "lease"
[[vendors]]
id = "acme"
"""
    assert problems(text) == []


def test_one_run_reports_every_mistake_with_its_path_and_remedy(problems):
    found = problems(TEN_MISTAKES)
    assert found == [
        "rules: not known yet to this version; remove it",
        'store.synchronous: "sometimes" is none of: full, normal',
        (
            "mqtt.prot: no such key; did you mean port? known keys: host, port, topic_prefix, "
            "client_id, username, password_file, password_env, tls, max_payload_bytes, results, "
            "rep_topics, assign_batch, ..."
        ),
        "mqtt.password: a secret does not belong in this file; use password_file or password_env",
        'mqtt.port: "1883" is a text; write a whole number',
        "flow.lease_seconds: nan is not finite; write an ordinary number",
        "flow.time_scale: 0.0 is out of range; write 0.001 to 1,000,000",
        "reps[1].window: 0 is out of range; write 1 to 1,000",
        'flow.policy: "leese" is no policy; did you mean lease? known policies: fair, lease',
        'reps[1].team: "nroth" is no team; did you mean north? known teams: north, south',
        'pools[0].reps[0]: "zoe" is no rep; known reps: ana',
        'pools[0].dialer: "cloud" is no dialer; known dialers: mqtt',
        (
            'http.tokens: missing, so "0.0.0.0" would be open to everybody; add [[http.tokens]] or '
            "listen on 127.0.0.1"
        ),
        'reps[1].id: "ana" is taken by reps[0]; give each its own',
    ]


@pytest.fixture
def config(tmp_path):
    """Write a configuration file and say where it is."""

    def write(text):
        path = tmp_path / "distributor.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def problems(config):
    """All problems of a configuration text; none for a good one."""

    def find(text):
        try:
            load(config(text), policies={"lease", "fair"})
        except BadConfig as error:
            return error.problems
        return []

    return find


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("reps = 1", "reps: 1 is a whole number; write [[reps]] for each"),
        ("[pools]\nid = 'p'", "pools: is a table of keys; write [[pools]] for each"),
        ("[[reps]]", "reps[0].id: missing; add it"),
        ("[[reps]]\nid = 'a b'", 'reps[0].id: "a b" is no name; write 1 to 64 characters'),
        ("[[reps]]\nid = 'a'\nweight = inf", "reps[0].weight: inf is not finite"),
        ("[[reps]]\nid = 'a'\nwindow = true", "reps[0].window: true is a truth value; write a w"),
        ("[[reps]]\nid = 'a'\nskills = ['x', 3]", "reps[0].skills[1]: 3 is a whole number"),
        ("[flow]\ntime_scale = -1", "flow.time_scale: -1.0 is out of range"),
        ("[flow]\nlease_seconds = 1" + "0" * 400, "flow.lease_seconds: the number is not finite"),
        ("[flow]\nwindow = 1" + "0" * 400, "flow.window: the number is out of range"),
        ("[flow]\nlease_seconds = 2026-01-01", "flow.lease_seconds: 2026-01-01 is a date or time"),
        ("[flow]\nclock_start = 'sent'", 'flow.clock_start: "sent" is none of: received, subm'),
        ("[flow]\nfirst_contact_seconds = 9\nlease_seconds = 9", "flow.first_contact_seconds: 9.0"),
        ("[flow]\nwindow_ = 2", "flow.window_: no such key; did you mean window?"),
        ('[flow]\n"a\\nb" = 2', 'flow."a\\nb": no such key; known keys'),
        ("[mqtt]\ntopic_prefix = 'a/+/b'", 'mqtt.topic_prefix: "a/+/b" is no topic prefix'),
        ("[mqtt]\nport = 0", "mqtt.port: 0 is out of range; write 1 to 65,535"),
        ("[mqtt]\npassword_env = 'NOT_SET_ANYWHERE'", "mqtt.password_env: the environment"),
        ("[mqtt]\ntls = {cert_file = '/dev/null'}", "mqtt.tls: cert_file and key_file go together"),
        ("[mqtt]\ntls = {ca_file = 'no.pem'}", "mqtt.tls.ca_file: "),
        ("[http]\ntls = {cert_file = 'no.pem'}", "http.tls.key_file: missing; add it"),
        ("[[http.tokens]]\nname = 'x'\nrole = 'boss'", 'http.tokens[0].role: "boss" is none of'),
        ("[[http.tokens]]\nname = 'x'\nrole = 'rep'", "http.tokens[0]: has no secret; add token_"),
        (
            "[[http.tokens]]\nname = 'x'\nrole = 'rep'\ntoken = 't'",
            "http.tokens[0].token: a secret does not belong in this file",
        ),
        (
            "[[vendors]]\nid = 'v'\nformat = 'meta'",
            'vendors[0].format: "meta" is not known yet to this version; use form or native',
        ),
        ("[[vendors]]\nid = 'v'\nformat = 'csv'", 'vendors[0].format: "csv" is none of: form, nat'),
        ("[[vendors]]\nid = 'v'\nformat = 5", "vendors[0].format: 5 is none of: form, native"),
        ("[[vendors]]\nid = 'v'\ncountry = 'usa'", 'vendors[0].country: "usa" is no country'),
        ("[[teams]]\nid = 't'\ntimezone = 'Mars/One'", 'teams[0].timezone: "Mars/One" is no time'),
        (
            "[[dialers]]\nid = 'mqtt'\nassign = {url = 'http://d'}",
            'dialers[0].id: "mqtt" is reserved; choose another',
        ),
        ("[[dialers]]\nid = 'd'\nassign = {url = 'd'}", 'dialers[0].assign.url: "d" is no URL'),
        (
            "[[dialers]]\nid = 'd'\nassign = {url = 'http://d', body = '{{ x'}",
            'dialers[0].assign.body: "{{ x" is no Jinja2 template (unexpected',
        ),
        (
            "[[dialers]]\nid = 'd'\nassign = {url = 'http://d'}\nsuccess_body = '('",
            'dialers[0].success_body: "(" is no regular expression (missing ), untermin',
        ),
        (
            "[[dialers]]\nid = 'd'\nassign = {url = 'http://d'}\nunknown_outcome = 'lookup'",
            'dialers[0].unknown_outcome: "lookup" needs a lookup request',
        ),
        ("[metrics]\nper_rep = 'some'", 'metrics.per_rep: "some" is none of: all, held_back, off'),
        (
            "[standards.speed_to_contact]\ntarget = 90",
            "standards.speed_to_contact.target: 90.0 is out of range; write 0.01 to 0.9999",
        ),
        (
            "[standards]\nopen_hours_per_month = 4",
            "standards.open_hours_per_day: 10.0 is above open_hours_per_month (4.0); mend one",
        ),
        (
            "[standards]\nopen_hours_per_day = 24.5",
            "standards.open_hours_per_day: 24.5 is out of range; write 0.5 to 24",
        ),
        (
            "[standards]\nopen_hours_per_month = 745\nopen_hours_per_day = 24",
            "standards.open_hours_per_month: 745.0 is out of range; write 1 to 744",
        ),
        (
            "[standards]\nopen_hours_per_month = 400",
            "standards.open_hours_per_month: 400.0 are more than 31 days of open_hours_per_day (10.0)",
        ),
        (
            "[alerts]\nrunbooks = 'our wiki'",
            'alerts.runbooks: "our wiki" is no address of a page; write one like https://wiki.',
        ),
        (
            "[alerts]\nrunbooks = 'https://wiki/{{ $value }}'",
            'alerts.runbooks: "https://wiki/{{ $value }}" is no address',
        ),
        (
            "[alerts]\nunassigned_second = 5",
            "alerts.unassigned_second: no such key; did you mean unassigned_seconds?",
        ),
        ("[alerts]\nleast_leads = 0.5", "alerts.least_leads: 0.5 is a number with a fraction"),
        ("[log]\nlevel = 1", "log.level: 1 is none of: debug, error, info, warning"),
        ("[console]", "console: not known yet to this version; remove it"),
    ],
)
def test_a_mistake_is_named_with_its_path_and_its_remedy(problems, text, line):
    found = problems(text)
    assert any(problem.startswith(line) for problem in found), found
    assert all("\n" not in problem for problem in found)


BROKEN_REFERENCES = """
[http]
port = 70000
[[vendors]]
id = "acme"
country = "usa"
[[teams]]
id = "north"
timezone = "Mars/One"
[[reps]]
id = "ana"
team = "nroth"
window = 0
[[pools]]
id = "default"
teams = ["sotuh", "nroth"]
reps = ["zoe"]
dialer = "clod"
[[dialers]]
id = "cloud"
assign = { url = "nowhere" }
[[http.tokens]]
name = "vendor"
role = "vendor"
vendor = "amce"
token_env = "SOME_TOKEN"
"""


def test_a_wrong_reference_is_reported_beside_mistakes_in_other_keys(problems, monkeypatch):
    """Only what is wrong with the ids themselves makes references unsure."""
    monkeypatch.setenv("SOME_TOKEN", "secret")
    found = {line.partition(":")[0] for line in problems(BROKEN_REFERENCES)}
    assert found == {
        "http.port",
        "vendors[0].country",
        "teams[0].timezone",
        "reps[0].team",
        "reps[0].window",
        "pools[0].teams[0]",
        "pools[0].teams[1]",
        "pools[0].reps[0]",
        "pools[0].dialer",
        "dialers[0].assign.url",
        "http.tokens[0].vendor",
    }


@pytest.mark.parametrize("kind", ["teams", "reps", "dialers"])
@pytest.mark.parametrize("wrong", ["[5]", "[{id = [], assign = {url = 'http://d'}}]", "[{}]", "5"])
def test_a_reference_is_not_judged_while_an_entry_has_no_id(problems, kind, wrong):
    """The name may be the one that is missing."""
    others = {"teams": "[{id = 't'}]", "reps": "[{id = 'a', team = 't'}]", "dialers": "[]"}
    lines = [f"{name} = {wrong if name == kind else text}" for name, text in others.items()]
    key = {"teams": "teams = ['x']", "reps": "reps = ['x']", "dialers": "dialer = 'x'"}[kind]
    text = "\n".join([*lines, "http = {}", f"[[pools]]\nid = 'p'\n{key}"])
    assert [line for line in problems(text) if line.startswith("pools")] == []
    good = text.replace(f"{kind} = {wrong}", f"{kind} = {others[kind]}")
    assert [line for line in problems(good) if line.startswith("pools[0]." + key[:4])] != []


@pytest.mark.parametrize("bad", ["'a b'", "5", "true"])
def test_an_id_that_is_no_name_hides_no_broken_reference(problems, bad):
    """References are checked against the ids as they are written."""
    text = f"""
http = {{}}
teams = [{{ id = "north" }}, {{ id = {bad} }}]
reps = [{{ id = "ana", team = "nowhere" }}, {{ id = {bad} }}]
dialers = [{{ id = {bad}, assign = {{ url = "http://d" }} }}]
[[pools]]
id = "default"
teams = ["gone"]
reps = ["zed"]
dialer = "cloud"
"""
    found = [line.partition(":")[0] for line in problems(text)]
    references = ["reps[0].team", "pools[0].teams[0]", "pools[0].reps[0]", "pools[0].dialer"]
    assert found == ["teams[1].id", "reps[1].id", "dialers[0].id", *references]


def test_a_reference_to_an_id_that_is_no_name_is_no_second_mistake(problems):
    text = """
http = {}
teams = [{ id = "the north" }]
reps = [{ id = "a b" }, { id = "ana" }]
[[pools]]
id = "default"
teams = ["the north"]
reps = ["a b", "ana"]
"""
    assert [line.partition(":")[0] for line in problems(text)] == ["teams[0].id", "reps[0].id"]


@pytest.mark.parametrize("odd", ["\\n", "\\u0000", "\\u202e", "x" * 70_000])
def test_what_is_no_name_breaks_no_line_where_it_is_listed(problems, odd):
    """Each problem is one short line, also where it lists the names that there are."""
    text = f"""
http = {{}}
teams = [{{ id = "nort{odd}h" }}]
reps = [{{ id = "ana", team = "north" }}]
[[pools]]
id = "default"
"""
    found = problems(text)
    assert len(found) == 2
    assert "is no team" in found[1]
    assert all(line.isprintable() and len(line) < 300 for line in found)


@pytest.mark.parametrize("table", ["mqtt", "http"])
@pytest.mark.parametrize("host", ["a..b", ".", "x" * 64, "a b", "a\\nb", "\\uFFFF", "ä.."])
def test_a_host_that_can_be_nobody_s_is_refused(problems, table, host):
    """No look-up takes it: the daemon would never start, or never reach its broker."""
    (line,) = problems(f'[{table}]\nhost = "{host}"\n{FLOOR}')
    assert line.startswith(f"{table}.host: ")
    assert line.endswith(
        "is no host; write a name like broker.example or an address like 127.0.0.1"
    )


@pytest.mark.parametrize(
    "host", ["broker", "my_broker.example.", "münchen.example", "::1", "10.0.0.9"]
)
def test_a_host_may_be_a_name_or_an_address(problems, host):
    assert problems(f'[mqtt]\nhost = "{host}"\n{FLOOR}') == []


@pytest.mark.parametrize("prefix", ["a\\nb", "\\u0001", "\\uFFFF"])
def test_a_topic_on_which_brokers_hang_up_is_refused(problems, prefix):
    (line,) = problems(f'[mqtt]\ntopic_prefix = "{prefix}"\n{FLOOR}')
    assert line.startswith("mqtt.topic_prefix: ")
    assert "no control characters" in line


@pytest.mark.parametrize("name", ["u" * 65_536, "ü" * 32_768, "\\u0001"])
def test_a_user_name_that_mqtt_has_no_room_for_is_refused(problems, name):
    (line,) = problems(f'[mqtt]\nusername = "{name}"\n{FLOOR}')
    assert line.startswith("mqtt.username: ")
    assert "65,535 bytes" in line


def test_a_pace_of_a_rep_is_within_a_century_at_the_time_scale(problems):
    text = """
http = {}
flow = { time_scale = 0.001 }
reps = [{ id = "ana", pace_seconds = 3.2e6 }, { id = "ben", pace_seconds = 3.3e6 }]
pools = [{ id = "default" }]
"""
    assert problems(text) == [
        "reps[1].pace_seconds: is over a century at this time_scale; shorten it or raise time_scale"
    ]


@pytest.mark.parametrize(
    ("secret", "why"),
    [("p" * 65_536, "is over 65,535 bytes"), ("p\udcff", "no UTF-8 text")],
    ids=["long", "bytes"],
)
def test_a_secret_that_no_broker_takes_is_refused(problems, tmp_path, monkeypatch, secret, why):
    """In a file and in the environment."""
    monkeypatch.setenv("A_SECRET", secret)
    (tmp_path / "kept").write_bytes(os.fsencode(secret))
    for key, value in (("password_env", "A_SECRET"), ("password_file", "kept")):
        (line,) = problems(f'[mqtt]\nusername = "u"\n{key} = "{value}"\n{FLOOR}')
        assert line.startswith(f"mqtt.{key}: ")
        assert why in line


def test_white_space_around_a_secret_does_not_count(tmp_path):
    (tmp_path / "kept").write_text(f"  {'p' * 65_535}\n")
    assert len(read_secret(str(tmp_path / "kept"), None)) == 65_535


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("x" * 300, "is too long for a file; name it shorter"),
        ("x" * 250, "is too long for a file; name it shorter"),
        ("/dev/null/x.db", "goes through something that is no folder; name a file in a folder"),
        ("/dev/null", "is a device or pipe; name a file"),
        (".", "is a folder; name a file in it"),
    ],
)
def test_a_store_that_can_be_no_file_is_refused(problems, path, why):
    (line,) = problems(f'[store]\npath = "{path}"\n{MINIMAL}')
    assert line.startswith("store.path: ")
    assert line.endswith(why)


def test_an_id_that_is_there_twice_hides_no_broken_reference(problems):
    text = """
http = {}
teams = [{ id = "north" }, { id = "north" }]
reps = [{ id = "ana", team = "nowhere" }, { id = "ana", team = "north" }]
[[pools]]
id = "default"
teams = ["gone"]
reps = ["zed"]
"""
    assert problems(text) == [
        'reps[0].team: "nowhere" is no team; known teams: north',
        'pools[0].teams[0]: "gone" is no team; known teams: north',
        'pools[0].reps[0]: "zed" is no rep; known reps: ana',
        'teams[1].id: "north" is taken by teams[0]; give each its own',
        'reps[1].id: "ana" is taken by reps[0]; give each its own',
    ]


def test_an_open_address_is_reported_beside_mistakes_in_other_keys(problems):
    text = MINIMAL.replace("[http]", "[http]\nhost = '0.0.0.0'\nport = 70000")
    text += "[[vendors]]\nid = 'acme'\ncountry = 'usa'\n"
    assert any(line.startswith("http.tokens: missing") for line in problems(text))
    secret = text + "token_env = 'NOT_SET_ANYWHERE'\n"  # its remedy closes the address as well
    assert not any(line.startswith("http.tokens") for line in problems(secret))


def test_a_mistake_is_not_reported_a_second_time_by_what_follows_from_it(problems):
    """Rep 1's team cannot be judged while a team has no id."""
    text = MINIMAL + "team = 'north'\n[[teams]]\nmanager = 'mia'\n"
    assert problems(text) == ["teams[0].id: missing; add it"]


def test_what_is_missing_altogether_is_named(problems):
    assert problems("") == [
        "mqtt: missing, and [http] too; add one of them so that leads can come in",
        "reps: missing; add at least one [[reps]] with an id",
        "pools: missing; add one [[pools]] with an id",
    ]


def test_a_second_pool_needs_rules_that_are_not_known_yet(problems):
    assert problems(MINIMAL + "[[pools]]\nid = 'second'\n") == [
        (
            "pools: 2 pools need [[rules]] to choose between them, and rules are not known yet to this "
            "version; keep one"
        )
    ]


def test_a_pool_that_no_rep_can_take_from_is_refused(problems):
    text = "[http]\n[[pools]]\nid = 'p'\nskills = ['fr']\n[[reps]]\nid = 'ana'\nskills = ['es']\n"
    assert problems(text) == ["pools[0]: no rep can take from it; change its teams, reps or skills"]


def test_a_lease_shorter_than_the_default_standard_is_a_choice(problems):
    """A smaller lease_seconds ends leases that early; only two written keys can contradict."""
    assert problems(MINIMAL + "[flow]\nlease_seconds = 5\n") == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_http_without_tokens_is_open_on_loopback_alone(problems, host):
    assert problems(MINIMAL.replace("[http]", f"[http]\nhost = '{host}'")) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_http_without_tokens_is_refused_elsewhere(problems, host):
    found = problems(MINIMAL.replace("[http]", f"[http]\nhost = '{host}'"))
    assert [line.split(":")[0] for line in found] == ["http.tokens"]


def test_secrets_are_read_from_files_and_the_environment_and_do_not_show(
    config, tmp_path, monkeypatch
):
    (tmp_path / "mia").write_text("token-of-mia\n")
    monkeypatch.setenv("ACME_TOKEN", "token-of-acme")
    text = (
        MINIMAL
        + """
[[http.tokens]]
name = "mia"
role = "supervisor"
token_file = "mia"
[[vendors]]
id = "acme"
token_env = "ACME_TOKEN"
"""
    )
    found = load(config(text))
    assert [(t.name, t.role, t.token, t.vendor) for t in found.tokens] == [
        ("mia", "supervisor", "token-of-mia", None),
        ("acme", "vendor", "token-of-acme", "acme"),
    ]
    assert "token-of" not in repr(found)


def test_bad_secrets_are_named(problems, tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "one").write_text("same")
    tokens = "".join(
        f"[[http.tokens]]\nname = '{name}'\nrole = 'admin'\n{keys}\n"
        for name, keys in {
            "a": "token_file = 'empty'",
            "b": "token_file = 'gone'",
            "c": "token_file = 'one'",
            "d": "token_file = 'one'",
            "e": "token_file = 'one'\ntoken_env = 'ONE'",
        }.items()
    )
    found = problems(MINIMAL + tokens)
    assert found == [
        f"http.tokens[0].token_file: '{tmp_path}/empty' is empty; write the secret there",
        (
            f"http.tokens[1].token_file: '{tmp_path}/gone' cannot be read (No such file or directory); "
            "write the secret there"
        ),
        "http.tokens[4]: token_file and token_env are both given; keep one",
        "http.tokens[3]: has the same secret as http.tokens[2]; give each its own",
    ]


def test_a_token_bound_to_somebody_unknown_is_refused(problems, tmp_path):
    (tmp_path / "t").write_text("secret")
    token = (
        "[[http.tokens]]\nname = 'a'\nrole = 'rep'\ntoken_file = 't'\nrep = 'zoe'\nvendor = 'v'\n"
    )
    assert problems(MINIMAL + token) == [
        "http.tokens[0].vendor: has no meaning for role rep; remove it",
        'http.tokens[0].rep: "zoe" is no rep; known reps: ana',
    ]


def test_a_token_that_names_nobody_speaks_for_whom_it_is_called(problems, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    text = (
        MINIMAL
        + """
[[vendors]]
id = "acme"
[[http.tokens]]
name = "ana"
role = "rep"
token_file = "one"
[[http.tokens]]
name = "acme"
role = "vendor"
token_file = "two"
"""
    )
    assert problems(text) == []
    assert problems(text.replace('name = "ana"', 'name = "anna"')) == [
        (
            'http.tokens[0].name: "anna" is no rep; add rep to say for whom it speaks '
            "(did you mean ana? known reps: ana)"
        )
    ]
    assert problems(text.replace('name = "acme"', 'name = "web"')) == [
        (
            'http.tokens[1].name: "web" is no vendor; add vendor to say for whom it speaks '
            "(known vendors: acme)"
        )
    ]
    any_vendor = text.replace('[[vendors]]\nid = "acme"', "").replace('name = "acme"', 'name = "w"')
    assert problems(any_vendor) == []


def test_a_token_without_a_secret_is_told_beside_its_other_mistakes(problems):
    text = MINIMAL + "[[http.tokens]]\nname = 'zoe'\nrole = 'rep'\n"
    assert [line.split(":")[0] for line in problems(text)] == [
        "http.tokens[0].name",
        "http.tokens[0]",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[http\n", "line 1, column 6); mend it"),
        (b"a = 1\n\xff", "line 2: no UTF-8 text"),
        (b"a = " + b"[" * 50_000, "nested too deep"),
        (b"a = " + b"9" * 5000, "a number has too many digits; write a smaller one"),
    ],
)
def test_a_file_that_is_no_toml_is_one_problem_with_its_place(tmp_path, content, says):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(BadConfig) as caught:
        load(path)
    assert len(caught.value.problems) == 1
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_bad_configuration(tmp_path):
    for path in (tmp_path / "gone.toml", tmp_path):
        with pytest.raises(BadConfig, match="cannot be read"):
            load(path)


def test_the_digest_names_the_meaning_not_the_spelling(config):
    one = to_floor(load(config(MINIMAL)))
    two = to_floor(load(config("# a remark\n" + MINIMAL + "window = 1\nteam = 'default'\n")))
    three = to_floor(load(config("\n\n" + MINIMAL + '\nteam = "default" # same\n')))
    assert one.digest == three.digest != two.digest


def test_a_large_floor_shows_only_held_back_reps_unless_told_otherwise(config):
    reps = "".join(f"[[reps]]\nid = 'r{at}'\n" for at in range(2001))
    text = f"[http]\n[[pools]]\nid = 'p'\n{reps}"
    assert load(config(text)).metrics.per_rep == "held_back"
    assert load(config(text + "[metrics]\nper_rep = 'all'\n")).metrics.per_rep == "all"
    assert load(config(MINIMAL)).metrics.per_rep == "all"


# -- whatever a file holds ----------------------------------------------------------------------

KEYS = st.sampled_from(
    [
        "id",
        "name",
        "team",
        "teams",
        "reps",
        "pools",
        "store",
        "path",
        "mqtt",
        "http",
        "tls",
        "tokens",
        "token",
        "role",
        "flow",
        "window",
        "policy",
        "vendors",
        "dialers",
        "assign",
        "url",
        "headers",
        "body",
        "metrics",
        "per_rep",
        "log",
        "skills",
        "rules",
        "x",
        "time_scale",
        "lease_seconds",
        "success_body",
        "success_status",
        "timezone",
        "secret_file",
        "secret_env",
        "token_env",
        "token_file",
        "ca_file",
        "host",
        "port",
        "synchronous",
        "dialer",
    ]
) | st.text(max_size=5)
SCALARS = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.sampled_from(["ana", "north", "default", "lease", "mqtt", "full", "http://x", "{{ a }}"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)
TREES = st.dictionaries(KEYS, VALUES, max_size=6)
ROWS = st.lists(st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3), max_size=5))
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=3)
        for name in ("teams", "reps", "pools", "vendors", "dialers")
    }
    | {
        name: st.dictionaries(KEYS, VALUES, max_size=6)
        for name in ("store", "mqtt", "http", "flow", "metrics", "log")
    },
)


@pytest.mark.long
@settings(max_examples=200)
@given(tree=TREES | SHAPED)
def test_no_document_does_anything_but_load_or_be_refused(tree):
    try:
        found = parse(tree, Path("/nowhere"), policies={"lease"})
    except BadConfig as error:
        lines = error.problems
    else:
        assert isinstance(found, Settings)
        assert to_floor(found).digest
        return
    assert lines
    assert all(line.isprintable() and ": " in line for line in lines)


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_no_file_does_anything_but_load_or_be_refused(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(raw)
    with pytest.raises(BadConfig):
        load(path)


@given(log=st.sampled_from(["debug", "info", "warning", "error"]))
def test_every_level_is_taken(log):
    tree = {"http": {}, "reps": [{"id": "a"}], "pools": [{"id": "p"}], "log": {"level": log}}
    assert parse(tree, Path(os.sep)).log == LogSettings(level=log)


def test_a_dialer_without_a_secret_has_an_empty_one():
    """The senders are handed a text in any case."""
    assert read_secret(None, None) == ""
