"""``python -m tools.grafana.picture FOLDER [OUT]``: play the floor once, then draw the boards. See README.md."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.broker import free_port
from distributor.demo.prometheus import Prometheus
from tools.grafana.picture import floor

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = Path(__file__).parent / "page"
BOARDS: Final = ("floor", "rep", "sla", "intake", "daemon")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.grafana.picture")
    parser.add_argument(
        "folder", type=Path, help="keeps the run and the page, outside the repository"
    )
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "docs" / "images")
    args = parser.parse_args()
    folder, out = args.folder.resolve(), args.out.resolve()
    run = folder / "run"
    if not (run / "run.json").exists():
        print(f"a floor for {floor.MINUTES:.0f} minutes, in {run}")
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        floor.play(run)
    page = _page(folder / "page")
    told = json.loads((run / "run.json").read_text())
    with Prometheus(run / "prometheus", "127.0.0.1:9", port=free_port()) as prometheus:
        subprocess.run(
            [
                *("node", "draw.mjs", prometheus.url),
                *(str(told["end"]), str(told["minutes"])),
                *(str(ROOT / "grafana" / "dashboards"), str(out), *BOARDS),
            ],
            cwd=page,
            check=True,
        )


def _page(page: Path) -> Path:
    """The page that draws, with what it is made of."""
    shutil.copytree(PAGE, page, dirs_exist_ok=True)
    if not (page / "node_modules").exists():
        install = "npm install --legacy-peer-deps --ignore-scripts --no-audit --no-fund"
        subprocess.run(install.split(), cwd=page, check=True)
    subprocess.run(["node", "build.mjs"], cwd=page, check=True)
    return page


if __name__ == "__main__":
    main()
