"""Every query of a dashboard has data in a real Prometheus, and Grafana's own types take the dashboard."""

from __future__ import annotations

import json
import math
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from click.testing import CliRunner

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command_line
from tests.alerts.kept_runs import keep_hourly_runs, keep_run
from tests.alerts.test_rules import HOSTILE
from tests.engines.install import GRAFANA_SCHEMA
from tests.engines.object_stores import free_port
from tests.engines.prometheus import Prometheus, prometheus
from tests.patience import eventually

pytestmark = pytest.mark.engines

TYPES = """\
import type { Dashboard, Panel, RowPanel } from "@grafana/schema";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type * as bargauge from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
// As JSON has it: of an enumeration the text.
type Plain<T> = unknown extends T ? T : T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T : { [K in keyof T]: Plain<T[K]> };
"""  # noqa: E501


def dashboard_of(store: pathlib.Path | str, name: str) -> dict[str, Any]:
    arguments = ["dashboards", name, "--for", "grafana", "--store", str(store)]
    done = CliRunner().invoke(command_line, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    dashboard: dict[str, Any] = json.loads(done.stdout)
    return dashboard


def as_typescript(dashboard: dict[str, Any]) -> str:
    """Returns a program that has the dashboard, each panel and its options as values of Grafana's types."""
    lines = [TYPES, f"export const all: Plain<Dashboard> = {json.dumps(dashboard)};"]
    for panel in dashboard["panels"]:
        kind, number, text = panel["type"], panel["id"], json.dumps(panel)
        if kind == "row":
            lines.append(f"export const panel{number}: Plain<RowPanel> = {text};")
            continue
        fields = "timeseries.FieldConfig" if kind == "timeseries" else "{}"
        lines.append(f"export const panel{number}: Plain<Panel<{{}}, {fields}>> = {text};")
        options = json.dumps(panel["options"])
        lines.append(f"export const options{number}: Plain<Partial<{kind}.Options>> = {options};")
    return "\n".join(lines)


def faults(folder: pathlib.Path, program: str) -> str:
    """Returns what TypeScript says of a program."""
    modules = GRAFANA_SCHEMA.path / "node_modules"
    (folder / "node_modules").symlink_to(modules, target_is_directory=True)
    (folder / "dashboard.ts").write_text(program, encoding="utf-8")
    how = "--noEmit --skipLibCheck --strict --moduleResolution bundler --module esnext".split()
    command = ["node", str(modules / "typescript" / "bin" / "tsc"), *how, "dashboard.ts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    (folder / "node_modules").unlink()
    assert (done.returncode == 0) == (done.stdout == ""), done.stderr
    return done.stdout


@pytest.mark.skipif(
    shutil.which("node") is None or not GRAFANA_SCHEMA.path.is_dir(),
    reason="Grafana's schema is not installed: make engines",
)
class TestTypes:
    def test_grafanas_types_take_dashboards_of_batches_streams_and_hostile_names(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "beam_obs.toml").write_text('[schedules.stream]\ncron = "0 6 * * *"\n')
        store = tmp_path / "store"
        keep_hourly_runs(store, "batch", seconds=600)
        keep_run(store, "stream", 0, start={"options": {"streaming": True}})
        keep_run(store, HOSTILE, 0)
        for name in ("batch", "stream", HOSTILE):
            assert faults(tmp_path, as_typescript(dashboard_of(store, name))) == ""

    def test_they_refuse_what_no_dashboard_has(self, tmp_path: pathlib.Path) -> None:
        store = tmp_path / "store"
        keep_hourly_runs(store, "batch", seconds=600)
        good = as_typescript(dashboard_of(store, "batch"))
        for old, new in (
            ('"schemaVersion"', '"schemaVersions"'),
            ('"collapsed": false', '"collapsed": 7'),
            ('"mode": "absolute"', '"mode": "absolutely"'),
            ('"mode": "dashed"', '"mode": "dotted"'),
            ('"textMode"', '"textMood"'),
        ):
            assert old in good
            assert "error TS" in faults(tmp_path, good.replace(old, new)), new


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, str]]:
    """A Prometheus that scrapes the numbers of a run, and the store that has it."""
    folder = tmp_path_factory.mktemp("watched")
    store, port = str(folder / "store"), free_port()
    arguments = ["--obs_report=off", "--obs_sample_rate=1", f"--obs_prometheus_port={port}"]
    with obs.Pipeline("FnApiRunner", argv=arguments, name="small", store=store) as p:
        read = p | "make" >> beam.Create(["1", "2", "x"])
        parsed = read | "parse" >> obs.Stage(beam.Map(int))
        _ = parsed | "odd" >> obs.Stage(beam.Filter(lambda number: number % 2))
    with prometheus(folder, {"beam_obs": port}) as server:
        server.wait_for("count_over_time(up[1m])", lambda scrapes: (scrapes or 0) >= 3)
        yield server, store


def series(server: Prometheus, query: str) -> list[tuple[dict[str, str], float]]:
    """Returns labels and value of what a query gives now."""
    return [(one["metric"], float(one["value"][1])) for one in server.api("query", query=query)["result"]]


def test_every_query_has_data_of_a_real_run(watched: tuple[Prometheus, str]) -> None:
    eventually(lambda: check_that_every_query_has_data(*watched))


def check_that_every_query_has_data(server: Prometheus, store: str) -> None:
    without = []
    for panel in dashboard_of(store, "small")["panels"]:
        for asked in panel.get("targets", ()):
            found = series(server, asked["expr"].replace("$__rate_interval", "10s"))
            if not found or all(math.isnan(value) for _, value in found):
                without.append((panel["title"], asked["expr"]))
            for label in re.findall(r"{{(\w+)}}", asked["legendFormat"]):
                assert any(label in labels for labels, _ in found), panel["title"]
    assert without == []


def test_panels_show_what_the_run_counted(watched: tuple[Prometheus, str]) -> None:
    server, store = watched
    panels = {panel["title"]: panel for panel in dashboard_of(store, "small")["panels"]}

    def shown(title: str, label: str) -> dict[str, float]:
        (asked,) = panels[title]["targets"]
        return {labels.get(label, ""): value for labels, value in series(server, asked["expr"])}

    def check() -> None:
        assert shown("Status of the newest run", "status") == {"done": 1}
        assert shown("Records taken, newest run", "stage").get("parse") == 3
        assert shown("Records filtered, newest run", "stage").get("odd") == 1
        assert shown("Share of records that stages refuse", "stage").get("parse") == pytest.approx(1 / 3)
        assert shown("Dead letters, newest run", "error").get("ValueError") == 1

    eventually(check)
