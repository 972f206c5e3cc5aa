"""Failures that a runner does not see end as notifications, from real runs to a real Alertmanager."""

from __future__ import annotations

import contextlib
import pathlib
import shlex
import sys
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.window import FixedWindows
from click.testing import CliRunner

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command_line
from tests.engines.alertmanager import alertmanager, receiver
from tests.engines.object_stores import free_port
from tests.engines.prism import prism_options
from tests.engines.prometheus import Prometheus, installed, prometheus, running
from tests.engines.test_dashboards import dashboard_of, series
from tests.faulty_runner import DROP, Fault, with_fault
from tests.patience import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.engines

SETTINGS = """\
store = "store"

[schedules.never]
cron = "* * * * *"
start_within = "1s"

[schedules.slow]
cron = "0 0 1 1 *"
since = 2100-01-01
takes_at_most = "5s"
"""


FAILURES = {
    ("BeamNotStarted", "never"),
    ("BeamRunTooLong", "slow"),
    ("BeamDeadShare", "malformed"),
    ("BeamBalanceBroken", "lost"),
    ("BeamBackedUp", "backed-up"),
}
"""Those of docs/why.md, as the rules and pipelines that are to tell of them."""


def ask(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(command_line, list(arguments), catch_exceptions=False)
    assert done.exit_code == code, done.output
    return str(done.stdout)


def launch(name: str, *arguments: str, runner: str | PrismRunner = "PrismRunner") -> obs.Pipeline:
    options = PipelineOptions(
        [
            *prism_options(),
            "--obs_report=off",
            "--obs_progress=off",
            f"--obs_store={pathlib.Path('store').absolute()}",
            *arguments,
        ]
    )
    return obs.Pipeline(runner, options=options, name=name)


class LosingPrism(PrismRunner):
    """Prism, with three records lost in front of a step."""

    def run_portable_pipeline(self, pipeline: Any, options: Any) -> Any:
        return super().run_portable_pipeline(with_fault(pipeline, "text", Fault(DROP, 3)), options)


def lose() -> None:
    """Runs a pipeline of which a runner loses records, and says that all is well."""
    with launch("lost", runner=LosingPrism()) as p:
        made = p | "make" >> beam.Create(range(100), reshuffle=False)
        _ = made | "double" >> beam.Map(lambda number: number * 2) | "text" >> beam.Map(str)


def wait_for_word(number: int) -> int:
    """Takes until it is told to go on."""
    until = time.monotonic() + 2 * PATIENCE_SECONDS
    while not pathlib.Path("go on").exists() and time.monotonic() < until:
        time.sleep(0.1)
    return number


def slowly(moment: float) -> tuple[str, float]:
    """Takes a second for each of five records a second, once somebody says so."""
    if pathlib.Path("slow").exists():
        time.sleep(1)
    return "all", moment


@contextlib.contextmanager
def streaming(name: str) -> Iterator[None]:
    """Runs a stream, grouped by windows of ten seconds, until the block ends."""
    p = launch(name, "--streaming")
    ticks = p | "ticks" >> PeriodicImpulse(fire_interval=0.2)
    pairs = ticks | "slowly" >> beam.Map(slowly).with_output_types(tuple[str, float])
    _ = pairs | "windows" >> beam.WindowInto(FixedWindows(10)) | "group" >> beam.GroupByKey()
    result = p.run()
    try:
        yield
    finally:
        result.cancel()


def is_waited_for(name: str) -> bool:
    """Whether it is known of a stream what waits in its windows."""
    live = obs.Store().find(f"{name}@latest").live or {}
    return any(one["oldest"] is not None for one in live.get("waiting") or ())


def parse(name: str, texts: list[str]) -> None:
    """Runs a pipeline that refuses what is no number, and says itself that one in ten is too many."""
    with launch(name) as p:
        read = p | "make" >> beam.Create(texts, reshuffle=False)
        _ = read | "parse" >> obs.Stage(beam.Map(int), max_dead_rate=0.4, max_dead_minimum=1)


@pytest.fixture
def numbers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Port of the numbers of a store, which a command of its own exports."""
    installed("prometheus")
    installed("prometheus-alertmanager")
    prism_options()
    monkeypatch.chdir(tmp_path)
    pathlib.Path("beam_obs.toml").write_text(SETTINGS)
    pathlib.Path("store/runs").mkdir(parents=True)
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "beam_obs.cli",
        "exporter",
        "--prometheus-port",
        str(port),
        "--every",
        "1s",
    ]
    with running(command, f"http://127.0.0.1:{port}/metrics"):
        yield port


def test_five_failures_are_notified(numbers: int, tmp_path: pathlib.Path) -> None:
    for name in ("malformed", "lost", "well"):
        parse(name, ["1"] * 100)
    with streaming("backed-up"):
        wait_until("known what waits", lambda: is_waited_for("backed-up"))
        rules = []
        for name in ("never", "slow", "malformed", "lost", "backed-up", "well"):
            rules.append(tmp_path / f"{name}.yml")
            rules[-1].write_text(ask("alerts", name, "--for", "prometheus", "--window", "10s"))
        with (
            receiver() as (webhook, alerts),
            alertmanager(tmp_path, webhook) as place,
            prometheus(tmp_path, {"beam_obs": numbers}, told_to(place, rules)) as server,
        ):
            pathlib.Path("slow").touch()
            slow = launch("slow")
            _ = slow | "make" >> beam.Create([1]) | "wait" >> beam.Map(wait_for_word)
            result = slow.run()
            with pytest.raises(obs.DeadRateExceeded):
                parse("malformed", ["1", "x"] * 50)
            lose()
            expected = {*FAILURES, ("BeamRunFailed", "malformed")}
            wait_until("told", lambda: {told_of(alert) for alert in alerts} >= expected)
            pathlib.Path("go on").touch()
            result.wait_until_finish()
            age = "Age of the oldest record that waits"
            wait_until("shown", lambda: len(shown(server, "backed-up", age)) == 1)
            since = "Since a start was due that no run answered"
            wait_until("shown", lambda: [due > 1 for due in shown(server, "never", since)] == [True])
    notified = {told_of(alert): alert for alert in alerts}
    # A busy machine lets the stream stand still for as long as the rule looks at.
    assert set(notified) - {("BeamThroughputGone", "backed-up")} == expected
    for alert in notified.values():
        command = shlex.split(alert["annotations"]["runbook"])
        assert command[0] == "beam-obs"
        words = [word for word in command[1:] if word != "--follow"]
        ask(*words, code=1 if words[0] == "balance" else 0)
    dead = notified["BeamDeadShare", "malformed"]
    assert dead["labels"]["stage"] == "parse"
    assert dead["annotations"]["description"].startswith("stage parse: 50%; more than 40 %")


def shown(server: Prometheus, name: str, title: str) -> list[float]:
    """Returns the values that a panel of a dashboard shows."""
    (panel,) = [one for one in dashboard_of("store", name)["panels"] if one["title"] == title]
    return [value for asked in panel["targets"] for _, value in series(server, asked["expr"])]


def told_of(alert: dict[str, Any]) -> tuple[str, str]:
    return alert["labels"]["alertname"], alert["labels"]["pipeline"]


def told_to(place: str, rules: list[pathlib.Path]) -> dict[str, Any]:
    """Returns what Prometheus is to evaluate, and whom to tell."""
    alertmanagers = [{"static_configs": [{"targets": [place]}]}]
    return {"rule_files": [str(path) for path in rules], "alerting": {"alertmanagers": alertmanagers}}
