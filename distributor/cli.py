"""The command line. Each command answers with its exit code; errors are one line on standard error."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import os
import shutil
import signal
import stat
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from distributor import __version__, printing, starter
from distributor.errors import BadConfig, DistributorError
from distributor.runtime.clock import Clock
from distributor.runtime.progress import Progress
from distributor.settings import Problems, Settings, load, store_doubt, store_path, to_floor

if TYPE_CHECKING:
    from distributor.store.reader import StoreReader

OK: Final = 0
FAILED: Final = 1
BAD_CONFIG: Final = 2
UNKNOWN: Final = 3
DIFFERENT: Final = 4
INTERRUPTED: Final = 130

DEFAULT_CONFIG: Final = "distributor.toml"


class _UnknownError(DistributorError):
    """The lead or rep that was asked for is not in the store."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Never shows a traceback, unless the environment
    variable ``DISTRIBUTOR_DEBUG`` is 1.
    """
    try:
        args = _parser().parse_args(argv)
        command: Callable[[argparse.Namespace], int] = args.command
        code = command(args)
        sys.stdout.flush()
    except SystemExit as stop:  # --help, --version, or arguments that argparse refused
        return stop.code if isinstance(stop.code, int) else FAILED
    except BrokenPipeError:
        _abandon_stdout()
        return OK  # the reader has all it wanted
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place that turns a defect into a line
        return _report(error)
    return code


def _report(error: Exception) -> int:
    if os.environ.get("DISTRIBUTOR_DEBUG") == "1":
        traceback.print_exc()
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # the first failure is the cause of the rest
    if isinstance(error, BadConfig):
        return _fail(str(error), BAD_CONFIG)
    if isinstance(error, _UnknownError):
        return _fail(str(error), UNKNOWN)
    if isinstance(error, DistributorError):
        return _fail(str(error), FAILED)
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}", FAILED)
    hint = "a defect; DISTRIBUTOR_DEBUG=1 shows where"
    return _fail(f"{type(error).__name__}: {error} ({hint})", FAILED)


def _fail(text: str, code: int) -> int:
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    with contextlib.suppress(OSError):
        print(f"distributor: {line}", file=sys.stderr, flush=True)
    return code


def _abandon_stdout() -> None:
    """Keep the interpreter from complaining about the closed pipe when it flushes at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# -- the commands ------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    path = _config_path(args)
    # Held back until the daemon listens to it: by default it would end the process.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        settings = _load_for_work(path)
        from distributor.app import run

        return run(settings, path)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _load(path: Path | str) -> Settings:
    """The settings, judged as ``run`` will: whatever it would refuse is named now."""
    return load(path, also=_judge)


def _load_for_work(path: Path) -> Settings:
    """The settings, or one line that says how many problems there are and what lists them."""
    try:
        return _load(path)
    except BadConfig as error:
        raise _summary(error, path) from None


def _judge(settings: Settings, problems: Problems) -> None:
    if settings.dialers:
        from distributor.delivery.checking import check_dialers

        check_dialers(settings, problems)


def _summary(error: BadConfig, path: Path) -> BadConfig:
    count = len(error.problems)
    if count == 1:
        return error
    listed = f"{count} problems (a line each: distributor check-config {path}): {error}"
    return BadConfig([listed])


def _demo(args: argparse.Namespace) -> int:
    code: int = importlib.import_module("distributor.demo").main(args)
    return code


def _check_config(args: argparse.Namespace) -> int:
    try:
        settings = _load(args.file)
    except BadConfig as error:
        print(*error.problems, sep="\n")
        return BAD_CONFIG
    print(f"{args.file}: good; reps: {len(settings.reps)}, teams: {len(to_floor(settings).teams)}")
    doubt = store_doubt(settings, Path(args.file).absolute().parent)
    if doubt is not None:
        print(f"distributor: warning: {doubt}", file=sys.stderr)
    return OK


def _rules(args: argparse.Namespace) -> int:
    from distributor.observe import rules

    text = rules.text(_load_for_work(_config_path(args)))
    if args.output is None:
        print(text, end="")
    else:
        _replace(Path(args.output).resolve(), text)
    return OK


def _replace(path: Path, text: str) -> None:
    """Write ``path`` whole or not at all: who reads it meanwhile has the old text."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _init(args: argparse.Namespace) -> int:
    for path in starter.write(Path(args.folder)):
        print(path)
    return OK


def _why(args: argparse.Namespace) -> int:
    with _reader(args) as reader:
        record = reader.why(args.lead_key, args.rep, Clock().now_ns())
        if record is None:
            raise _UnknownError(
                f"no lead {args.lead_key} in this store; see distributor export leads"
            )
        if args.rep is not None and not reader.knows_rep(args.rep):
            raise _unknown_rep(args.rep)
    print(printing.as_json(record) if args.json else printing.why_text(record))
    return OK


def _unknown_rep(rep: str) -> _UnknownError:
    return _UnknownError(f"no rep {rep} in this store; name one of the configured reps")


def _why_idle(args: argparse.Namespace) -> int:
    with _reader(args) as reader:
        record = reader.why_idle(args.rep, Clock().now_ns())
    if record is None:
        raise _unknown_rep(args.rep)
    print(printing.as_json(record) if args.json else printing.why_idle_text(record))
    return OK


def _export(args: argparse.Namespace) -> int:
    with _reader(args) as reader, Progress(f"export {args.kind}", "rows") as progress:
        rows = progress.count(reader.export(args.kind))
        printing.WRITERS[args.format](args.kind, rows, sys.stdout)
    return OK


def _verify(args: argparse.Namespace) -> int:
    store = _store_path(args)
    from distributor.app import verify

    difference = verify(store)
    if difference:
        return _fail(f"{store}: {difference}", DIFFERENT)
    print(f"{store}: the journal, the stored state and the ledger agree")
    return OK


# -- which file, which store -------------------------------------------------------------------


def _config_path(args: argparse.Namespace) -> Path:
    if args.config is not None:
        return Path(args.config)
    if Path(DEFAULT_CONFIG).is_file():
        return Path(DEFAULT_CONFIG)
    raise BadConfig([f"no {DEFAULT_CONFIG} in this folder; say which with --config FILE"])


def _store_path(args: argparse.Namespace) -> Path:
    if args.store is not None:
        path = Path(args.store)
    elif args.config is None and not Path(DEFAULT_CONFIG).is_file():
        raise BadConfig([f"no {DEFAULT_CONFIG} in this folder; say --config FILE or --store PATH"])
    else:
        path = store_path(_config_path(args))
    if not _may_be_file(path):
        raise DistributorError(f"no store at {path}; name the right one with --store PATH")
    return path


def _may_be_file(path: Path) -> bool:
    """Whether there is a file, or we may not even look: who opens it then says what to do."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def _reader(args: argparse.Namespace) -> Iterator[StoreReader]:
    path = _store_path(args)
    from distributor.store.reader import StoreReader

    with contextlib.closing(StoreReader(path)) as reader:
        yield reader


# -- the arguments -----------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """argparse, with its errors in one line."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(_fail(f"{message}; see {self.prog} --help", BAD_CONFIG))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="distributor", description="Distributes leads to reps.")
    parser.add_argument("--version", action="version", version=f"distributor {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], int], about: str) -> _Parser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(command=command)
        assert isinstance(added, _Parser)
        return added

    _add_config(add("run", _run, "run the daemon until SIGTERM or SIGINT"))
    _add_demo(add("demo", _demo, "run a whole floor on this machine: broker, vendor, dialer, reps"))
    check = add("check-config", _check_config, "print every problem of a configuration file")
    check.add_argument("file", metavar="FILE")
    made = add("rules", _rules, "print or write the rules for Prometheus that suit a configuration")
    _add_config(made)
    made.add_argument("--output", metavar="FILE", help="write them there, whole or not at all")
    init = add("init", _init, "write a starter configuration and what goes around it")
    init.add_argument("folder", metavar="DIR")

    why = add("why", _why, "who got a lead, and why")
    why.add_argument("lead_key", metavar="LEAD_KEY")
    why.add_argument("--rep", metavar="REP", help="why this rep did not get it")
    idle = add("why-idle", _why_idle, "why a rep receives nothing, or less")
    idle.add_argument("rep", metavar="REP")
    for command in (why, idle):
        command.add_argument("--json", action="store_true", help="one JSON object")
    export = add("export", _export, "write leads, prospects, events or assignments to stdout")
    export.add_argument("kind", choices=("leads", "prospects", "events", "assignments"))
    export.add_argument("--format", choices=tuple(printing.WRITERS), default="csv")
    verify = add("verify", _verify, "check that the store agrees with its journal")
    for command in (why, idle, export, verify):
        _add_config(command)
        command.add_argument(
            "--store", metavar="PATH", help="the store itself, instead of a config"
        )
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help=f"the configuration file (default: {DEFAULT_CONFIG} here)"
    )


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds",
        type=_positive,
        metavar="N",
        help="end after N seconds (default: when the story is told, 90 to 180; a trace: at its end)",
    )
    parser.add_argument("--rate", type=_positive, metavar="PER_MINUTE", help="leads a minute (120)")
    parser.add_argument("--reps", type=_count, metavar="N", help="reps (8)")
    parser.add_argument(
        "--time-scale", type=_positive, metavar="X", default=20.0, help="run X times as fast (20)"
    )
    parser.add_argument(
        "--trace", metavar="FILE", help="replay the arrivals and shifts of a CSV or CSV.gz file"
    )
    parser.add_argument(
        "--prometheus",
        type=_port,
        nargs="?",
        const=9090,  # where Grafana looks for one
        metavar="PORT",
        help="run a Prometheus beside it that scrapes it, on PORT of 127.0.0.1 (9090)",
    )


def _positive(text: str) -> float:
    with contextlib.suppress(ValueError):
        number = float(text)
        if math.isfinite(number) and number > 0:
            return number
    raise argparse.ArgumentTypeError(f"{text[:60]!r} is no number above 0; give one like 90 or 0.5")


def _port(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < 65_536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text[:60]!r} is no port from 1 to 65535; give one")


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        number = int(text)
        if 1 <= number <= 100_000:
            return number
    raise argparse.ArgumentTypeError(f"{text[:60]!r} is no whole number from 1 to 100000; give one")
