"""A run that has not ended has its graph and its counts in the store, for whoever looks."""

from __future__ import annotations

import datetime
import json
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from click.testing import CliRunner

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command_line
from beam_obs.metrics.families import Family, Sample
from beam_obs.metrics.run_snapshot import Snapshot, StageCounts
from beam_obs.runs import committed_so_far, live_counts, watcher
from beam_obs.runs.committed_so_far import Committed, CommittedSoFar, ReadSoFar
from beam_obs.runs.live_counts import LiveCounts
from beam_obs.store.numbers_of_run import numbers_of_run
from beam_obs.store.run_record import RunRecord, now_text
from tests.patience import PATIENCE_SECONDS

LOAD = obs.gauge("live_load_ratio")


class Look(beam.DoFn):
    """Looks at the store of its own run until the counts there are those that are waited for."""

    seen: list[RunRecord]

    def process(self, element: Any) -> Iterator[Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            (record,) = obs.Store().runs()
            stages = {stage["label"]: stage for stage in (record.live or {}).get("stages", [])}
            if stages and stages["parse"]["in"] == 4:
                Look.seen.append(record)
                break
            time.sleep(0.02)
        yield element


def records_in(record: RunRecord) -> int:
    history = (record.live or {}).get("history")
    return int(history[-1]["in"]) if history else 0


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 0.02)
    Look.seen = []


@pytest.mark.parametrize("runner", ["FnApiRunner", BundleBasedDirectRunner()])
def test_a_running_run_has_the_graph_and_the_counts_of_an_end_so_far(runner: Any) -> None:
    with obs.Pipeline(runner, name="numbers") as p:
        texts = p | "make" >> beam.Create(["1", "x", "3", "4"], reshuffle=False)
        numbers = texts | "parse" >> obs.Stage(beam.Map(int))
        count = numbers | "count" >> beam.combiners.Count.Globally()
        _ = count | "look" >> beam.ParDo(Look()) | "write" >> beam.io.WriteToText("out")

    (seen,) = Look.seen
    (ended,) = obs.Store().runs()
    assert (seen.status, seen.end, ended.live) == ("running", None, None)
    live, end = seen.live or {}, ended.end or {}
    assert live["counts_from"] == "live"
    counts = ("label", "in", "out", "dead", "filtered")
    assert [[stage[name] for name in counts] for stage in live["stages"]] == [["parse", 4, 3, 1, 0]]
    for name, fields in (("steps", ("label", "is_stage", "after")), ("edges", ("from", "to", "side"))):
        assert [[one[field] for field in fields] for one in live[name]] == [
            [one[field] for field in fields] for one in end[name]
        ]
    assert [set(one) for one in live["composites"]] == [set(one) for one in end["composites"]]
    assert (live["history"][-1]["in"], live["history"][-1]["dead"]) == (4, 1)
    assert not list(pathlib.Path(".beam_obs", ended.folder).glob("live.json"))


def test_a_killed_run_says_as_of_when_its_counts_are(start_program: Callable[..., Any]) -> None:
    source = """
        import pathlib, time
        import apache_beam as beam
        import beam_obs as obs
        from beam_obs.runs import watcher

        watcher.LIVE_SECONDS = 0.02

        def linger(number):
            time.sleep(60)
            return number

        if __name__ == "__main__":
            with obs.Pipeline("FnApiRunner", name="slow") as p:
                numbers = p | "make" >> beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int))
                numbers | beam.Reshuffle() | "linger" >> beam.Map(linger)
    """
    process: subprocess.Popen[str] = start_program(source)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(records_in(record) == 2 for record in obs.Store().runs()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    shown = [
        CliRunner().invoke(command_line, command).output
        for command in (["show", "latest"], ["runs"], ["graph", "latest", "--output", "-"])
    ]

    report, table, picture = shown
    assert "slow  lost, 1 dead" in report
    assert "invalid literal" in report
    assert [line.split()[1:] for line in report.splitlines() if "◆ parse" in line] == [
        ["parse", "2", "1", "1", "0", "–", "–"]  # noqa: RUF001 - a dash stands for no number
    ]
    assert all("as of 20" in text and " ago)" in text for text in (report, picture))
    assert "2 records as of" in " ".join(table.split())
    assert "linger" in picture


def test_runs_as_json_say_when_their_counts_are_of(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "runs" / "slow" / "0193aaaa-1111-7000-8000-000000000001"
    folder.mkdir(parents=True)
    (folder / "start.json").write_text(json.dumps({"started": now_text(), "runner": "FnApiRunner"}))
    (folder / "live.json").write_text(json.dumps({"at": "2026-01-02T03:04:05.000000Z", "stages": []}))

    found = CliRunner().invoke(command_line, ["runs", "--json", "--store", str(tmp_path)])

    assert json.loads(found.output)["as_of"] == "2026-01-02T03:04:05.000000Z"


def test_the_history_of_a_long_run_is_thinned_and_goes_on_to_the_newest() -> None:
    long_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    counts = LiveCounts({"parse": "Map"}, long_ago.isoformat())

    for number in range(1, 3_001):
        told = counts.told(None, Snapshot({"parse": StageCounts(number, number - 1, 1)}, live=True), None)

    history = told["history"]
    assert live_counts.MOST_POINTS // 4 < len(history) <= live_counts.MOST_POINTS
    assert [point["in"] for point in history] == sorted({point["in"] for point in history})
    assert (history[0]["in"], history[-1]["in"], history[-1]["dead"]) == (1, 3_000, 1)
    assert len(json.dumps(told)) < 20_000


def test_instruments_are_told_while_a_run_lives_and_read_back_as_they_were(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "runs" / "slow" / "0193aaaa-1111-7000-8000-000000000001"
    folder.mkdir(parents=True)
    rows = Family("rows_total", "counter", (Sample("parse", {"kind": "a"}, value=3),))
    load = Family("load_ratio", "gauge", (Sample("parse", value=0.5, at=7),))
    counted = Snapshot({"parse": StageCounts(3, 3)}, instruments=(rows,), of_instruments={"series_beyond": 2})

    told = LiveCounts({"parse": "Map"}, now_text()).told(None, counted, None, Committed((load,)))
    (folder / "start.json").write_text(json.dumps({"started": now_text(), "runner": "FnApiRunner"}))
    (folder / "heartbeat.json").write_text(json.dumps({"at": now_text()}))
    (folder / "live.json").write_text(json.dumps(told))

    (record,) = obs.Store(tmp_path).runs()
    assert record.problems == ()
    assert (record.live or {})["instruments"]["series_beyond"] == 2
    numbers = numbers_of_run(record)
    assert (numbers.family("rows_total"), numbers.family("load_ratio")) == (rows, load)
    assert LiveCounts({}, now_text()).told(None, None, None)["instruments"] is None


def test_what_bundles_have_committed_is_looked_at_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committed_so_far, "LOOK_SECONDS", 0.0)

    def parse(text: str) -> int:
        LOAD.set(0.25)
        return int(text)

    with obs.Pipeline("FnApiRunner", argv=["--obs_max_dead_rate=1"], name="numbers") as p:
        _ = p | "make" >> beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(parse))
    (record,) = obs.Store().runs()
    so_far = CommittedSoFar(obs.Store(), record.folder)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := so_far.latest()).families:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [(one.name, one.samples[0].value) for one in found.families] == [("live_load_ratio", 0.25)]
    assert [(kind["stage"], kind["error_type"]) for kind in found.kinds] == [("parse", "ValueError")]
    away = CommittedSoFar(obs.Store("no/such/store"), record.folder)
    assert away.latest() == Committed()


def test_looking_takes_a_small_part_of_a_core_however_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def look(self: ReadSoFar) -> Committed:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        looks.append(time.monotonic())
        return Committed()

    monkeypatch.setattr(committed_so_far, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ReadSoFar, "look", look)
    so_far = CommittedSoFar(obs.Store(), "runs")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(looks) < 2:
        assert time.monotonic() < deadline
        so_far.latest()
        time.sleep(0.001)
    assert looks[1] - looks[0] > 0.3
