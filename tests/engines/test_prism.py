"""Woven pipelines on Prism: through a real job service, on workers that are spoken to over the network."""

from __future__ import annotations

import collections
import random
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import StrUtf8Coder, TupleCoder, VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue

import beam_obs as obs
import beam_obs.lineage as lineage
import beam_obs.metrics
from beam_obs.metrics.live import live_counts
from beam_obs.metrics.tally import Counts
from beam_obs.records.window_counts import dropped_origins
from beam_obs.stages import canary
from beam_obs.store.evidence import read_evidence, summarize_windows
from beam_obs.testing import assert_metrics
from tests.engines.live_ledger import DropOnce, check_loss_is_told_while_it_runs, hasten, run_stream
from tests.engines.prism import prism_options
from tests.faulty_runner import DROP, Fault, with_fault
from tests.metrics.bundled_values import check_kept, in_bundles
from tests.million import assert_many_records_balance
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.stages.canaries import check_canaries, run_canaries
from tests.stages.late_stream import letters_of, run_late
from tests.weaving.provenance import made, run_woven
from tests.weaving.random_steps import STEPS, typed
from tests.weaving.test_independence import rows_of, write_files

pytestmark = pytest.mark.engines


@pytest.mark.parametrize("optimized", ["default", "none"])
def test_lineage_is_the_same_as_on_one_worker(optimized: str, tmp_path: Path) -> None:
    options = [*prism_options(), f"--experiments=pre_optimize={optimized}"]
    write_files(tmp_path, random.Random(1))
    # Prism puts other elements into one session than Beam's other runners, woven or not.
    wanted = rows_of(tmp_path, FnApiRunner(), without="sessions")

    found = rows_of(tmp_path, "PrismRunner", *options, without="sessions")

    assert found - wanted == wanted - found == collections.Counter()
    assert found.total() > 300


def test_lineage_of_every_step_is_what_its_values_say(tmp_path: Path) -> None:
    names = sorted(STEPS.keys() - {"sessions"})

    def build(pipeline: Any) -> Any:
        pairs = pipeline | "one" >> beam.Create([(at % 4, frozenset([at])) for at in range(20)])
        return [typed(STEPS[name](typed(pairs, f"{name} first"), name), f"{name} last") for name in names]

    ran = run_woven(build, str(tmp_path), "PrismRunner", prism_options())

    assert all(ran.seen)
    for value, origin in ran.outputs:
        assert ran.sources_of(origin) == {made("one", number) for number in value[1]}


@pytest.mark.slow
def test_a_million_records_balance(tmp_path: Path) -> None:
    assert_many_records_balance(tmp_path, "PrismRunner", prism_options())


def slowly(value: Any) -> Any:
    time.sleep(0.3)
    return value


@pytest.mark.parametrize("optimized", ["default", "none"])
def test_files_that_were_written_are_noted_however_late_they_come(optimized: str, tmp_path: Path) -> None:
    """Prism's shuffle drops what has the maximal timestamp, or fails by it; Beam's sinks give it to names."""
    store = f"--obs_store={tmp_path / 'store'}"
    options = PipelineOptions([*prism_options(), f"--experiments=pre_optimize={optimized}", store])
    with obs.Pipeline("PrismRunner", options=options, name="writes") as p:
        numbers = p | beam.Create(["1", "x", "3"]) | "parse" >> obs.Stage(beam.Map(int))
        late = numbers | "later" >> beam.Map(slowly) | beam.Reshuffle() | "too" >> beam.Map(slowly)
        names = late | "as text" >> beam.Map(str) | "write" >> obs.WriteToText(str(tmp_path / "out" / "text"))
        groups = names | "key" >> beam.WithKeys("files") | beam.GroupByKey()
        counted = groups | "count" >> beam.MapTuple(lambda key, found: {"files": len(list(found))})
        _ = counted | "write too" >> obs.WriteToJson(str(tmp_path / "out" / "json"))

    (run,) = obs.Store(str(tmp_path / "store")).runs()
    assert [(one["label"], one["records"]) for one in run.end["outputs"]] == [("write", 2), ("write too", 1)]
    assert run.end["dead_letters"]["count"] == 1


def test_canaries_arrive_are_judged_and_never_get_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAM_OBS_STORE", str(tmp_path / "store"))
    # However long the job takes to start.
    monkeypatch.setattr(canary, "OVERDUE_SECONDS", PATIENCE_SECONDS)

    record = run_canaries("PrismRunner", str(tmp_path / "out.txt"), tuple(prism_options()), seconds=4)

    check_canaries(record, str(tmp_path / "out.txt"), counts_are_whole=False)


@pytest.mark.parametrize("runner", ["PrismRunner", "DirectRunner"])
def test_files_are_read_as_they_come(runner: str, tmp_path: Path) -> None:
    # On a busy machine it may be over before a step has seen the first file, and written the second.
    for seconds in (6, 30, 150):
        (folder := tmp_path / f"{seconds}").mkdir()
        run = read_as_they_come(runner, folder, seconds)
        if run.end["dead_letters"]["count"] == 2:
            break

    assert run.status_text == "done, 2 dead"
    assert [(one["name"], one["records"]) for one in run.end["inputs"]] == [("cities", 2)]
    assert run.end["balance"]["holds"] is True
    letters = obs.read_dead_letters(run.id, store=obs.Store(str(folder / "store")))
    assert {letter.error_type for letter in letters} == {"beam_obs.TornRow", "beam_obs.UnreadFile"}


def read_as_they_come(runner: str, folder: Path, seconds: float) -> Any:
    """Reads files for so long, of which one is written by a step that has seen another; returns the run."""
    (folder / "one.csv").write_text("city\nrome\ntorn,2\n")
    options = ["--streaming", f"--obs_store={folder / 'store'}", *prism_options()]
    stop = time.time() + seconds
    read = obs.ReadContinuously(obs.ReadFromCsv(str(folder / "*.csv")), 0.5, stop_timestamp=stop)
    with obs.Pipeline(runner, PipelineOptions(options), name="continuously") as p:
        cities = p | "cities" >> read | "city" >> beam.Map(lambda row: row["city"])
        _ = cities | "more" >> beam.Map(lambda city: write_more(folder) if city == "rome" else city)
    (run,) = obs.Store(str(folder / "store")).runs()
    return run


def write_more(folder: Path) -> str:
    """Writes a file, and to the one that was read."""
    (folder / "two.csv").write_text("city\nulm\n")
    (folder / "one.csv").write_text("city\nrome\nparis\n")
    return "rome"


def test_what_is_refused_in_sliding_windows_is_kept_in_each(tmp_path: Path) -> None:
    stream = TestStream(coder=VarIntCoder()).add_elements([TimestampedValue(1, 5)])
    options = ["--streaming", f"--obs_store={tmp_path}", "--obs_max_dead_rate=1", *prism_options()]

    with obs.Pipeline("PrismRunner", PipelineOptions(options), name="sliding") as p:
        windows = p | stream.advance_watermark_to_infinity() | beam.WindowInto(SlidingWindows(4, 2))
        _ = windows | "refuse" >> obs.Stage(beam.Map(refuse))

    store = obs.Store(str(tmp_path))
    letters = obs.read_dead_letters("latest", store=store)
    assert sorted(letter.window[1:21] for letter in letters) == [
        "1970-01-01T00:00:02Z",
        "1970-01-01T00:00:04Z",
    ]
    assert (store.find("latest").end or {})["balance"]["holds"] is not False


def test_what_comes_too_late_is_a_dead_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_OBS_STORE", str(tmp_path))

    record = run_late(obs.WindowInto(FixedWindows(10), late_for=60), "PrismRunner", tuple(prism_options()))

    assert [text for text, *_ in letters_of(record)] == ["('a', 1)", "('a', 4)", "('b', 6)"]
    assert record.end["balance"]["holds"] is True
    assert record.end["balance"]["dropped"] == []
    assert all(letter.origin for letter in obs.read_dead_letters(record.id))


def test_what_prism_drops_as_late_is_counted_by_step_and_window(tmp_path: Path) -> None:
    stream = TestStream(coder=TupleCoder([StrUtf8Coder(), VarIntCoder()])).advance_watermark_to(0)
    for watermark, first in ((50, 0), (60, 4)):
        late = [TimestampedValue(("a", at), at % 4) for at in range(first, first + 4)]
        stream = stream.add_elements(late).advance_watermark_to(watermark)
    options = ["--streaming", f"--obs_store={tmp_path}", "--obs_lineage_filtered=all"]

    with obs.Pipeline("PrismRunner", PipelineOptions([*prism_options(), *options]), name="late") as p:
        windows = p | stream.advance_watermark_to_infinity() | beam.WindowInto(FixedWindows(10))
        groups = windows | "pass" >> obs.Stage(beam.Filter(bool)) | "group" >> beam.GroupByKey()
        sums = windows | "sum" >> beam.CombinePerKey(sum)
        (groups, sums) | beam.Flatten() | "last" >> beam.Map(lambda pair: pair)

    for step in ("group", "sum"):
        assert_metrics(p.result, stage=step, dropped=4)
    end = obs.Store(str(tmp_path)).find("latest").end or {}
    assert end["balance"]["holds"] is not False
    assert end["balance"]["dropped"] == [
        {"step": step, "count": 4, "windows": {"[0.0, 10.0)": 4}} for step in ("group", "sum")
    ]
    store = obs.Store(str(tmp_path))
    for windows in summarize_windows(read_evidence(store, store.find("latest").folder)).values():
        dropped = dropped_origins(windows, 4)
        assert len(dropped) == 4
        answer = lineage.fate(next(iter(dropped)).hex(), store=store)
        assert answer.into is not None
        assert [(one.step, one.window) for one in answer.into.dropped] == [
            (step, "[0.0, 10.0)") for step in ("group", "sum")
        ]
    steps = {step["label"]: step for step in end["steps"]}
    assert steps["group"]["event_lag_seconds"]["count"] > 0


def refuse(moment: float) -> float:
    raise ValueError("refused")


def test_what_a_cancelled_stream_refused_is_in_a_file_or_said_not_to_be(tmp_path: Path) -> None:
    """Refusals of a stream are gathered for some seconds, what waits is gone when it is cancelled."""
    store = f"--obs_store={tmp_path}"
    options = PipelineOptions([*prism_options(), "--streaming", store])
    p = obs.Pipeline("PrismRunner", options=options, name="ticks")
    ticks = p | "ticks" >> PeriodicImpulse(fire_interval=0.2)
    _ = ticks | "parse" >> obs.Stage(beam.Map(refuse))
    result = p.run()
    counted = result.beam_obs_run.record.id
    wait_until("refused", lambda: live_counts(counted).get("parse", Counts()).dead >= 5)

    result.cancel()

    (run,) = obs.Store(str(tmp_path)).runs()
    refused = run.end["dead_letters"]
    assert refused["in_files"].get("parse", 0) + refused["not_kept"].get("parse", 0) >= 5
    assert ("refused and not kept" in run.status_text) == bool(refused["not_kept"])


def test_gauges_and_summaries_say_the_same_as_on_one_worker(tmp_path: Path) -> None:
    options = PipelineOptions([*prism_options(), f"--obs_store={tmp_path}"])
    with obs.Pipeline("PrismRunner", options, name="values") as p:
        in_bundles(p)

    (run,) = obs.Store(str(tmp_path)).runs()
    # Counts of a bundle Prism now and then loses; evidence it does not.
    check_kept((run.end or {})["instruments"])
    elements = beam_obs.metrics.snapshot(p.result).family("beam_obs_elements_total")
    assert elements is not None
    assert "give" in {sample.step for sample in elements.samples}


class _FaultyPrism(PrismRunner):
    """Prism with a fault in front of a step.

    Args:
      step: its full label.
      fault: of what goes into it.
    """

    def __init__(self, step: str, fault: Fault) -> None:
        super().__init__()
        self._step = step
        self._fault = fault

    def run_portable_pipeline(self, pipeline: Any, options: Any) -> Any:
        return super().run_portable_pipeline(with_fault(pipeline, self._step, self._fault), options)


def test_a_loss_in_one_window_of_a_stream_is_located_with_the_window() -> None:
    stream = TestStream(coder=beam.coders.PickleCoder())
    for at in range(0, 60, 10):
        stream.add_elements([TimestampedValue(("a", number), number) for number in range(at, at + 10)])
        stream.advance_watermark_to(at + 10)
    stream.advance_watermark_to_infinity()
    options = PipelineOptions([*prism_options(), "--obs_report=off", "--streaming"])
    with obs.Pipeline(_FaultyPrism("odd", _DropOne(37)), options, name="stream") as p:
        (
            p
            | "read" >> stream
            | "pairs" >> beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
            | "windows" >> beam.WindowInto(FixedWindows(20))
            | "same" >> beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
            | "odd" >> beam.Filter(lambda pair: pair[1] % 2)
            | "sum" >> beam.CombinePerKey(sum)
        )
    ledger = (obs.Store().find("stream@latest").end or {})["ledger"]
    (edge,) = [edge for edge in ledger["edges"] if edge.get("text")]
    assert (edge["from"], edge["to"], edge["is_exact"]) == (["same"], "odd", True)
    assert edge["windows"] == [{"window": "[20.0, 40.0)", "lost": 1, "added": 0}]
    assert [example["window"] for example in edge["examples"]] == ["[20.0, 40.0)"]


def test_a_loss_in_one_window_of_a_stream_is_told_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)
    options = [*prism_options(), "--obs_report=off"]
    check_loss_is_told_while_it_runs(run_stream(_FaultyPrism("some", DropOnce()), *options))


class _DropOne(Fault):
    """Loses the element of one number, in whichever bundle it is."""

    def __init__(self, number: int) -> None:
        super().__init__(DROP, 1)
        self._lost_number = number

    def process(self, element: Any) -> list[Any]:
        return [] if self._lost_number in element[1] else [element]


class Kept(beam.DoFn):
    """Keeps each number in state, slowly, and gives how many there are."""

    KEPT = BagStateSpec("kept", VarIntCoder())

    def process(self, pair: Any, kept: Any = beam.DoFn.StateParam(KEPT)) -> Any:  # noqa: B008
        kept.add(pair[1])
        time.sleep(0.2)
        yield len(list(kept.read()))


def numbered(_: Any) -> list[tuple[str, int]]:
    """Returns numbers under one key."""
    return [("a", number) for number in range(25)]


def note(number: int, path: str) -> None:
    """Adds a number to a file."""
    with open(path, "a") as file:
        file.write(f"{number}\n")


def test_what_a_slow_step_of_a_stream_keeps_is_not_written_over(tmp_path: Path) -> None:
    """Prism splits bundles of steps with state, unless it is told not to, and loses what they keep."""
    start, sizes = time.time(), tmp_path / "sizes"
    options = PipelineOptions([*prism_options(), "--obs_report=off", "--streaming"])
    with obs.Pipeline("PrismRunner", options, name="kept") as p:
        (
            p
            | "once" >> PeriodicImpulse(start, start + 0.5, 1.0)
            | "numbers"
            >> beam.FlatMap(lambda _: [("a", number) for number in range(25)]).with_output_types(
                tuple[str, int]
            )
            | beam.Reshuffle()
            | "kept" >> beam.ParDo(Kept())
            | "note" >> beam.Map(note, str(sizes))
        )
    assert sorted(map(int, sizes.read_text().split())) == list(range(1, 26))
    assert (obs.Store().find("kept@latest").end or {})["balance"]["holds"] is True
