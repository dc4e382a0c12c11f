"""Every file that is made, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from distributor.observe import rules
from distributor.settings import Settings
from tools.grafana.board import SOURCE_NAME, SOURCE_UID, Board, encoded
from tools.grafana.daemon import daemon
from tools.grafana.floor import floor
from tools.grafana.intake import intake
from tools.grafana.limits import limits
from tools.grafana.readme import readme
from tools.grafana.rep import rep
from tools.grafana.sla import sla

SOURCES: Final = f"""\
# Where Grafana finds Prometheus. Copy to /etc/grafana/provisioning/datasources/ and change the url.
apiVersion: 1

datasources:
  - name: {SOURCE_NAME}
    uid: {SOURCE_UID}
    type: prometheus
    access: proxy
    url: http://127.0.0.1:9090
    isDefault: false  # the boards find it by its uid
    jsonData:
      timeInterval: 10s  # the scrape interval: $__rate_interval follows it
      httpMethod: POST
"""

PROVIDER: Final = """\
# Where Grafana finds the boards. Copy to /etc/grafana/provisioning/dashboards/, and the boards to the path.
apiVersion: 1

providers:
  - name: distributor
    folder: Distributor
    type: file
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options:
      path: /var/lib/grafana/dashboards/distributor
"""


def boards(settings: Settings) -> tuple[Board, ...]:
    """All boards for these settings, in the order in which people need them."""
    wanted = limits(settings)
    return tuple(make(wanted) for make in (floor, rep, sla, intake, daemon))


def made(settings: Settings, folder: Path) -> dict[Path, str]:
    """Path -> text of every made file, as it should be."""
    found = boards(settings)
    files = {folder / "dashboards" / f"{board.name}.json": encoded(board) for board in found}
    files[folder / "provisioning" / "datasources" / "distributor.yml"] = SOURCES
    files[folder / "provisioning" / "dashboards" / "distributor.yml"] = PROVIDER
    files[folder / "README.md"] = readme(found)
    files[folder / "prometheus" / "rules.yml"] = rules.text(settings)
    return files
