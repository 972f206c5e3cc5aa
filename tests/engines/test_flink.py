"""Flink, on two task managers: what is kept of a job when one of them is lost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.transforms.window import GlobalWindows, SlidingWindows, TimestampedValue
from click.testing import CliRunner

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command_line
from beam_obs.replay.letter_choice import AskedReplay, choose_letters
from beam_obs.replay.letter_replay import LetterReplay
from beam_obs.replay.under_way import replaying
from beam_obs.runs.instrument import instrument
from beam_obs.store.evidence import DEAD_LETTERS, Standing, dead_letters, read_evidence
from beam_obs.store.letter_states import LetterStates
from beam_obs.store.run_record import RunRecord
from tests.engines.flink.cluster import Cluster
from tests.faulty_runner import DROP, Fault, with_fault
from tests.metrics.bundled_values import check_values, in_bundles
from tests.million import assert_many_records_balance
from tests.patience import PATIENCE_SECONDS, wait_until

pytestmark = [pytest.mark.engines, pytest.mark.slow]

NUMBERS = 1000
GROUPS = 5


def parse(number: int) -> int:
    if number % 10 == 3:
        raise ValueError("ends with three")
    return number


def parse_most(number: int) -> int:
    if number == 13:
        raise ValueError("is thirteen")
    return number


class WaitFor(beam.DoFn):
    """Gives elements when there is a file of this name: until then a job cannot end."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def process(self, element: Any) -> Any:
        (self._file.parent / f"waits-{os.urandom(6).hex()}").touch()
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while not self._file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield element


class Job:
    """Numbers, of which one in ten is refused, are grouped, counted and written.

    Args:
      folder: of its store and its output.
      options: of the cluster.
      waits_behind: after which step the job waits for `go_on`: ``spread``, ``group`` or ``write``.
      parse: what refuses numbers.
    """

    def __init__(
        self,
        folder: Path,
        options: list[str],
        waits_behind: str,
        parse: Callable[[int], int] = parse,
    ) -> None:
        self.store = obs.Store(str(folder / "store"))
        self.output = folder / "out"
        self._released = folder / "go on"
        folder.mkdir(exist_ok=True)
        wait = beam.ParDo(WaitFor(self._released))
        options = [*options, f"--obs_store={self.store.uri}", "--obs_progress=off"]
        pipeline = obs.Pipeline(options=PipelineOptions(options), name="numbers")
        numbers = pipeline | "numbers" >> beam.Create(range(NUMBERS)) | "spread" >> beam.Reshuffle()
        if waits_behind == "spread":
            numbers |= "wait" >> wait
        groups = (
            numbers
            | "parse" >> obs.Stage(beam.Map(parse))
            | "key" >> beam.Map(lambda number: (number % GROUPS, number))
            | "group" >> beam.GroupByKey()
        )
        if waits_behind == "group":
            groups |= "wait" >> wait
        names = (
            groups
            | "count" >> beam.MapTuple(lambda key, numbers: {"key": key, "count": len(list(numbers))})
            | "write" >> obs.WriteToJson(str(self.output / "groups"), file_name_suffix=".jsonl")
        )
        if waits_behind == "write":
            _ = names | "again" >> beam.Reshuffle() | "wait" >> wait
        self._result = pipeline.run()

    def wait_until(self, holds: Callable[[list[str]], bool]) -> None:
        """Waits until the names of the files in the run's folder are such."""
        record = self.store.find("latest")
        self.wait_for("so far", lambda: holds(self.store.files.names(record.folder)))

    def wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        """Waits until something holds."""
        wait_until(what, holds)

    def dead_letters_are_committed(self) -> bool:
        """Returns whether a manifest names all files of dead letters."""
        record = self.store.find("latest")
        committed = read_evidence(self.store, record.folder).of_kind(DEAD_LETTERS)
        return sum(one.count for one in committed) == NUMBERS // 10

    @property
    def waits(self) -> int:
        """How often an element has come to where the job waits."""
        return len(list(self._released.parent.glob("waits-*")))

    def go_on(self) -> None:
        """Lets the job go on to its end."""
        self._released.touch()

    def leave(self) -> None:
        """Leaves the job, as a launcher does that ends without waiting, and lets it go on to its end."""
        self._result.beam_obs_run.left()
        self.go_on()

    def cancel(self) -> RunRecord:
        """Cancels the job, and returns its run."""
        self._result.cancel()
        (record,) = self.store.runs()
        return record

    def finish(self) -> RunRecord:
        """Lets the job go on to its end, and returns its run."""
        self.go_on()
        self._result.wait_until_finish()
        return self.store.find("latest")

    def assert_that_nothing_is_lost_or_doubled(self, run: RunRecord) -> None:
        end = run.end
        assert end is not None
        refused = end["dead_letters"]
        assert (refused["count"], refused["by_stage"]) == (NUMBERS // 10, {"parse": NUMBERS // 10})
        assert end["balance"]["broken"] == []
        assert end["ledger"]["holds"] is True
        evidence = read_evidence(self.store, run.folder)
        assert sum(one.count for one in evidence.of_kind("derivations")) == GROUPS
        assert sum(one.count for one in evidence.of_kind("output_index")) == GROUPS
        assert [one["records"] for one in end["outputs"]] == [GROUPS]
        lines = [line for file in self.output.glob("*.jsonl") for line in file.read_text().splitlines()]
        kept = NUMBERS // GROUPS
        counts = {key: kept // 2 if key == 3 else kept for key in range(GROUPS)}
        assert {one["key"]: one["count"] for one in map(json.loads, lines)} == counts


def test_a_task_manager_lost_before_evidence_is_committed(cluster: Cluster, tmp_path: Path) -> None:
    job = Job(tmp_path, cluster.options, waits_behind="group")
    job.wait_until(lambda names: any(name.startswith("dead_letters-") for name in names))

    cluster.kill_task_manager(2)
    cluster.start_task_manager(2)
    run = job.finish()

    job.assert_that_nothing_is_lost_or_doubled(run)
    assert run.end["dead_letters"]["superseded"] == 0
    assert run.end["dead_letters"]["uncommitted"] > 0


def test_a_task_manager_lost_after_evidence_was_committed(cluster: Cluster, tmp_path: Path) -> None:
    job = Job(tmp_path, cluster.options, waits_behind="write")
    job.wait_until(lambda _: job.dead_letters_are_committed())

    cluster.kill_task_manager(2)
    cluster.start_task_manager(2)
    run = job.finish()

    job.assert_that_nothing_is_lost_or_doubled(run)
    assert run.end["dead_letters"]["superseded"] == NUMBERS // 10


def test_workers_killed_in_mid_bundle(cluster: Cluster, tmp_path: Path) -> None:
    job = Job(tmp_path, cluster.options, waits_behind="group")
    job.wait_for("at a group", lambda: job.waits > 0)

    assert cluster.kill_workers(1) + cluster.kill_workers(2) >= 1
    run = job.finish()

    job.assert_that_nothing_is_lost_or_doubled(run)
    assert job.waits > GROUPS  # some have come again


def test_a_store_that_is_away_for_a_while(cluster: Cluster, tmp_path: Path) -> None:
    """No bundle that refuses a record is committed meanwhile: it fails, and is tried again."""
    job = Job(tmp_path, cluster.options, waits_behind="spread")
    before = cluster.failures()

    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "store").touch()
    job.go_on()
    job.wait_for("so far that a bundle has failed", lambda: cluster.failures() > before)
    (tmp_path / "store").unlink()
    (tmp_path / "away").rename(tmp_path / "store")
    run = job.finish()

    job.assert_that_nothing_is_lost_or_doubled(run)


def test_a_job_that_is_cancelled_keeps_what_it_refused(cluster: Cluster, tmp_path: Path) -> None:
    job = Job(tmp_path, cluster.options, waits_behind="group")
    job.wait_until(lambda names: any(name.startswith("dead_letters-") for name in names))

    run = job.cancel()
    letters = [standing for _, standing in dead_letters(job.store, run)]
    # Beam's job server leaves the job to Flink, where it goes on: tests behind this one need its slots.
    job.go_on()
    job.wait_for("ended by Flink", lambda: "RUNNING" not in cluster.states())

    assert run.status == "cancelled"
    assert run.status_text == f"cancelled, {NUMBERS // 10} dead"
    assert letters == [Standing.UNCOMMITTED] * (NUMBERS // 10)


def test_a_replay_during_which_a_task_manager_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    run = Job(tmp_path / "first", cluster.options, waits_behind="write").finish()
    store = obs.Store(str(tmp_path / "first" / "store"))
    chosen = choose_letters(store, run, AskedReplay(), LetterStates(store, run))
    under_way = LetterReplay(store, chosen, AskedReplay(), LetterStates(store, run))

    with instrument(run.pipeline, store), replaying(under_way):
        job = Job(tmp_path / "again", cluster.options, waits_behind="group", parse=parse_most)
    job.store = store
    job.wait_until(lambda names: any(name.startswith("dead_letters-") for name in names))
    job.wait_for("at a group", lambda: job.waits > 0)
    cluster.kill_task_manager(2)
    cluster.start_task_manager(2)
    replay = job.finish()

    assert (replay.status_text, replay.start["parent_run"]) == ("done, 1 dead", run.id)
    lines = [line for file in job.output.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert [(one["key"], one["count"]) for one in map(json.loads, lines)] == [(3, NUMBERS // 10 - 1)]
    left = choose_letters(store, run, AskedReplay(), LetterStates(store, run))
    assert (left.letters, sum(left.left.values())) == ([], NUMBERS // 10)


def test_a_million_records_balance(cluster: Cluster, tmp_path: Path) -> None:
    assert_many_records_balance(tmp_path, None, [*cluster.options, "--obs_progress=off"])


def test_a_loss_is_located_in_each_of_its_windows(cluster: Cluster, tmp_path: Path) -> None:
    options = [*cluster.options, f"--obs_store={tmp_path}", "--obs_progress=off"]
    with obs.Pipeline(_FaultyFlink(), options=PipelineOptions(options), name="windows") as p:
        (
            p
            | "numbers" >> beam.Create(range(100))
            | "times" >> beam.Map(lambda number: TimestampedValue((number % 3, number), number))
            | "windows" >> beam.WindowInto(SlidingWindows(20, 10))
            | "spread" >> beam.Reshuffle()
            | "odd" >> beam.Filter(lambda pair: pair[1] % 2)
            | "sum" >> beam.CombinePerKey(sum)
            | "end windows" >> beam.WindowInto(GlobalWindows())
            | "last" >> beam.Map(str)
        )

    (run,) = obs.Store(str(tmp_path)).runs()
    edges = {edge["to"]: edge for edge in run.end["ledger"]["edges"]}
    assert {to for to, edge in edges.items() if edge.get("by_window")} == {"odd", "sum", "end windows"}
    assert [to for to, edge in edges.items() if edge.get("lost") or edge.get("added")] == ["odd"]
    assert (edges["odd"]["given"], edges["odd"]["taken"], edges["sum"]["taken"]) == (200, 198, 98)
    assert edges["odd"]["windows"] == [
        {"window": "[20.0, 40.0)", "lost": 1, "added": 0},
        {"window": "[30.0, 50.0)", "lost": 1, "added": 0},
    ]
    assert edges["last"]["whole"] == "it is in the global window"


class _FaultyFlink(PortableRunner):
    """Flink, with a fault in front of a step."""

    def run_portable_pipeline(self, pipeline: Any, options: Any) -> Any:
        return super().run_portable_pipeline(with_fault(pipeline, "odd", _DropOne()), options)


class _DropOne(Fault):
    """Loses the element of one number, in whichever windows and bundles it is."""

    def __init__(self) -> None:
        super().__init__(DROP, 1)

    def process(self, element: Any) -> list[Any]:
        _, (_, number) = element
        return [] if number == 37 else [element]


def test_elements_are_not_counted_again_by_those_that_read_them(cluster: Cluster, tmp_path: Path) -> None:
    """Flink tells the count of a PCollection once of its producer and once of each reader."""
    options = [*cluster.options, f"--obs_store={tmp_path}", "--obs_progress=off"]
    with obs.Pipeline(options=PipelineOptions(options), name="side") as p:
        side = p | "side" >> beam.Create([1, 2])
        numbers = p | "numbers" >> beam.Create(range(100)) | "parse" >> obs.Stage(beam.Map(abs))
        with_side = beam.Map(lambda number, others: number + sum(others), others=beam.pvalue.AsList(side))
        _ = numbers | "with side" >> obs.Stage(with_side)

    (run,) = obs.Store(str(tmp_path)).runs()
    assert [(stage["in"], stage["out"]) for stage in run.end["stages"]] == [(100, 100)] * 2
    assert run.end["balance"]["broken"] == []


def test_a_job_whose_launcher_has_left_is_watched_to_its_end(cluster: Cluster, tmp_path: Path) -> None:
    """Its job service tells counts when a job has ended, and only the state before."""
    job = Job(tmp_path, cluster.options, waits_behind="group")
    job.wait_until(lambda names: any(name.startswith("dead_letters-") for name in names))

    job.leave()
    watched = CliRunner().invoke(command_line, ["watch", "latest", "--store", job.store.uri])

    assert watched.exit_code == 0, watched.output
    (run,) = job.store.runs()
    assert (run.status, (run.end or {})["counts_from"]) == ("done", "result")
    job.assert_that_nothing_is_lost_or_doubled(run)


def test_instruments_say_the_same_as_on_one_worker(cluster: Cluster, tmp_path: Path) -> None:
    options = [*cluster.options, f"--obs_store={tmp_path}", "--obs_progress=off"]
    with obs.Pipeline(options=PipelineOptions(options), name="values") as p:
        in_bundles(p)

    (run,) = obs.Store(str(tmp_path)).runs()
    check_values(run.end["instruments"])
    workers = run.end["workers"]
    assert len(workers) >= 2  # one at least of each TaskManager
    for worker in workers:
        assert 0 < worker["memory_bytes"] < worker["memory_limit_bytes"]
