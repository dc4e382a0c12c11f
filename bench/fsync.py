"""What the disk costs: the time of an fsync of 4 KiB in the folder where the store would be."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import perf_counter

from msgspec import Struct, structs

from bench import options
from bench.output import finish, say
from bench.stats import percentile

BLOCK = b"\0" * 4096


class Disk(Struct, frozen=True):
    """Milliseconds of one append of 4 KiB with its fsync."""

    median_ms: float
    p99_ms: float
    samples: int


def measure(folder: Path, samples: int = 300) -> Disk:
    """Append and fsync in ``folder`` so many times."""
    taken: list[float] = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix="fsync-") as file:
        number = file.fileno()
        for _ in range(samples):
            begun = perf_counter()
            os.write(number, BLOCK)
            os.fsync(number)
            taken.append((perf_counter() - begun) * 1e3)
    return Disk(percentile(taken, 0.5), percentile(taken, 0.99), samples)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", type=options.folder, metavar="DIR", default=".", help="where to write (here)"
    )
    parser.add_argument("--samples", type=options.count, metavar="N", default=300)


def run(args: argparse.Namespace) -> int:
    disk = measure(Path(args.folder), args.samples)
    say(f"fsync of 4 KiB: median {disk.median_ms:.2f} ms, p99 {disk.p99_ms:.2f} ms")
    finish(structs.asdict(disk), as_json=args.json)
    return 0
