"""Certificates that sign themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.real import need_program


def self_signed(folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """A new certificate for ``name`` and its key, as PEM files in ``folder``: good for two days."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    kind = "IP" if name[0].isdigit() else "DNS"
    subprocess.run(
        [
            *(need_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
