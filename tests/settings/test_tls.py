"""Certificates and keys are tried when the file is checked, not first when the daemon starts."""

from __future__ import annotations

import subprocess

import pytest

from distributor.errors import BadConfig
from distributor.settings import load
from tests.certificates import self_signed
from tests.real import need_program

REST = """
http = { tls = { cert_file = "%s", key_file = "%s" } }
mqtt = { tls = { ca_file = "%s", cert_file = "%s", key_file = "%s" } }
pools = [{ id = "default" }]
reps = [{ id = "ana" }]
"""


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    """A folder with two certificates and their keys, an encrypted key, and a text."""
    openssl = need_program("openssl")
    folder = tmp_path_factory.mktemp("pems")
    for name in ("one", "two"):
        self_signed(folder, name)
    subprocess.run(
        [openssl, "rsa", "-aes128", "-passout", "pass:secret", "-in", "one.key", "-out", "locked"],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    (folder / "text").write_text("no PEM")
    return folder


def problems(folder, *names):
    path = folder / "distributor.toml"
    path.write_text(REST % names)
    try:
        load(path)
    except BadConfig as error:
        return [line.replace(f"{folder}/", "") for line in error.problems]
    return []


def test_certificates_with_their_keys_are_good(pems):
    assert problems(pems, "one.crt", "one.key", "two.crt", "one.crt", "one.key") == []


def test_files_that_are_no_pem_are_named_with_their_paths(pems):
    assert problems(pems, "text", "one.key", "text", "one.crt", "gone") == [
        'mqtt.tls.ca_file: "text" holds no certificate; write it there as PEM',
        'mqtt.tls.key_file: "gone" cannot be read (No such file or directory); put the file there',
        'http.tls.cert_file: "text" holds no certificate; write it there as PEM',
    ]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("two.key", '"two.key" is not the key of cert_file; give the two that belong together'),
        ("text", '"text" is no key for cert_file ('),
        ("locked", '"locked" is no key for cert_file ('),
    ],
)
def test_a_key_that_does_not_serve_is_named(pems, key, says):
    found = problems(pems, "one.crt", key, "one.crt", "one.crt", key)
    paths = ("mqtt.tls.key_file: ", "http.tls.key_file: ")
    assert [line[: len(path + says)] for line, path in zip(found, paths, strict=True)] == [
        path + says for path in paths
    ]
