"""What is lost, doubled or exchanged between two steps is located, by edge, amount and records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import FixedWindows, GlobalWindows, SlidingWindows, TimestampedValue
from click.testing import CliRunner

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command
from beam_obs.metrics.own_families import RUN_BALANCED
from beam_obs.records.origin import Partition
from beam_obs.store.erasure import erase
from beam_obs.store.evidence import read_evidence
from beam_obs.store.numbers_of_run import numbers_of_run
from beam_obs.store.person import Person
from beam_obs.store.run_record import RunRecord
from beam_obs.testing.retrying_runner import RetryingRunner
from tests.faulty_runner import DOUBLE, DROP, EXCHANGE, FaultyRunner
from tests.million import assert_many_records_balance
from tests.step_with_state import Seen

NUMBERS = 500
LOST, TOO_MANY = 1, -1


def ran(runner: Any, *options: str) -> RunRecord:
    """Returns a run of a pipeline of two stages, with a shuffle, a filter and a combine between them."""
    given = PipelineOptions(["--obs_report=off", *options])
    with obs.Pipeline(runner, given, name="numbers") as p:
        (
            p
            | "read" >> beam.Create(range(NUMBERS))
            | "parse" >> obs.Stage(beam.Map(lambda number: (number % 7, number)))
            | "some" >> beam.Filter(lambda pair: pair[1] % 2)
            | "group" >> beam.GroupByKey()
            | "each" >> beam.FlatMapTuple(lambda key, numbers: [(key, number) for number in numbers])
            | "total" >> beam.CombinePerKey(sum)
            | "clean" >> obs.Stage(beam.Map(str))
        )
    return obs.Store().find("numbers@latest")


def ran_in_windows(runner: Any) -> RunRecord:
    """Returns a run of a pipeline of ten windows, behind the first of which nothing asks for the window."""
    with obs.Pipeline(runner, PipelineOptions(["--obs_report=off"]), name="windowed") as p:
        (
            p
            | "read" >> beam.Create(range(100))
            | "times" >> beam.Map(lambda number: TimestampedValue((number % 3, number), number))
            | "windows" >> beam.WindowInto(FixedWindows(10))
            | "same" >> beam.Map(lambda pair: pair)
            | "some" >> beam.Filter(lambda pair: pair[1] % 2)
            | "twice" >> beam.FlatMap(lambda pair: [pair, pair])
            | "group" >> beam.GroupByKey()
            | "each" >> beam.FlatMapTuple(lambda key, numbers: [(key, number) for number in numbers])
            | "total" >> beam.CombinePerKey(sum)
            | "clean" >> obs.Stage(beam.Map(str))
        )
    return obs.Store().find("windowed@latest")


def ran_in_sliding_windows(runner: Any) -> RunRecord:
    """Returns a run each of whose elements is in two windows, of steps of many kinds."""
    with obs.Pipeline(runner, PipelineOptions(["--obs_report=off"]), name="sliding") as p:
        (
            p
            | "read" >> beam.Create(range(100))
            | "times" >> beam.Map(lambda number: TimestampedValue((number % 3, number), number))
            | "windows" >> beam.WindowInto(SlidingWindows(20, 10))
            | "same" >> beam.Map(lambda pair: pair)
            | "start" >> beam.Map(lambda pair, window=beam.DoFn.WindowParam: pair)
            | "some" >> beam.Filter(lambda pair: pair[1] % 2)
            | "twice" >> beam.FlatMap(lambda pair: iter([pair, pair]))
            | beam.Reshuffle()
            | "shuffled" >> beam.Map(lambda pair: pair)
            | "group" >> beam.GroupByKey()
            | "each" >> beam.FlatMapTuple(lambda key, numbers: [(key, number) for number in numbers])
            | "seen" >> beam.ParDo(Seen())
            | "later" >> beam.Map(lambda pair: TimestampedValue(pair, pair[1] + 30))
            | "total" >> beam.CombinePerKey(sum)
            | "clean" >> obs.Stage(beam.Map(str))
            | "end windows" >> beam.WindowInto(GlobalWindows())
            | "after" >> beam.Map(str)
        )
    return obs.Store().find("sliding@latest")


class FirstOfKey(beam.DoFn):
    """Gives the first pair of each key and window; keeps no record."""

    SEEN = ReadModifyWriteStateSpec("seen", beam.coders.BooleanCoder())
    remembers = False

    def process(
        self,
        pair: Any,
        seen: Any = beam.DoFn.StateParam(SEEN),  # noqa: B008
    ) -> Any:
        if not seen.read():
            seen.write(True)
            yield pair


class FirstForAWhile(beam.DoFn):
    """The same, whose timer forgets a key and gives nothing."""

    SEEN = FirstOfKey.SEEN
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)
    remembers = False

    def process(
        self,
        pair: Any,
        window: Any = beam.DoFn.WindowParam,
        seen: Any = beam.DoFn.StateParam(SEEN),  # noqa: B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: B008
    ) -> Any:
        forget.set(window.end)
        if not seen.read():
            seen.write(True)
            yield pair

    @on_timer(FORGET)
    def forget(self, seen: Any = beam.DoFn.StateParam(SEEN)) -> None:  # noqa: B008
        seen.clear()


@pytest.mark.parametrize("first", [FirstOfKey(), FirstForAWhile()])
def test_what_a_step_gives_whose_state_holds_no_record_is_counted_in_it(first: beam.DoFn) -> None:
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="first") as p:
        (
            p
            | "read" >> beam.Create(range(20))
            | "times" >> beam.Map(lambda number: TimestampedValue((number % 2, number), number))
            | "windows" >> beam.WindowInto(FixedWindows(10))
            | "first" >> beam.ParDo(first)
            | "total" >> beam.CombinePerKey(sum)
        )
    record = obs.Store().find("first@latest")
    edges = {edge["to"]: edge for edge in (record.end or {})["ledger"]["edges"]}
    assert (edges["first"]["by_window"], edges["first"]["taken"]) == (True, 20)
    assert (edges["total"]["given"], edges["total"]["taken"], broken(record)) == (4, 4, [])
    assert (given_at(record)["first"]["in"], given_at(record)["first"]["filtered"]) == (20, 16)


@pytest.mark.slow
def test_a_loss_in_sliding_windows_is_located_in_each_of_them() -> None:
    (edge,) = broken(ran_in_sliding_windows(FaultyRunner("same", DROP)))
    assert (edge["to"], edge["lost"], edge["added"]) == ("same", 2, 0)
    assert [found["window"] for found in edge["windows"]] == ["[-10.0, 10.0)", "[0.0, 20.0)"]
    assert {one["origin"] for one in edge["examples"]} == {origin(0)}


@pytest.mark.parametrize("windows", [FixedWindows(3), SlidingWindows(6, 3)])
def test_an_element_that_is_given_a_time_of_its_own_is_in_the_windows_of_that(windows: Any) -> None:
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="moved") as p:
        times = beam.Map(lambda number: TimestampedValue(number, number))
        numbers = p | "read" >> beam.Create(range(50)) | "times" >> times
        windowed = numbers | "windows" >> beam.WindowInto(windows)
        later = beam.ParDo(Later()).with_outputs("odd", main="even")
        moved = windowed | beam.Reshuffle() | "later" >> later
        for tag in ("even", "odd"):
            moved[tag] | tag >> beam.CombinePerKey(sum)
    ledger = (obs.Store().find("moved@latest").end or {})["ledger"]
    assert [edge["text"] for edge in ledger["edges"] if edge.get("text")] == []
    assert [edge["to"] for edge in ledger["edges"] if edge.get("by_window")] == ["later", "even", "odd"]


class Later(beam.DoFn):
    """Gives numbers as pairs at a time of their own, odd ones apart, and even ones also as they came."""

    def process(self, number: int) -> Any:
        if number % 2:
            yield beam.pvalue.TaggedOutput("odd", TimestampedValue((number % 3, number), number + 3))
        else:
            yield TimestampedValue((number % 3, number), number + 3)
            yield number % 3, number


def broken(record: RunRecord) -> list[dict[str, Any]]:
    return [edge for edge in (record.end or {})["ledger"]["edges"] if edge.get("text")]


def origin(number: int) -> str:
    return Partition("read", "").origin(number).hex()


def given_at(record: RunRecord) -> dict[str, Any]:
    """Returns the steps of the ledger by their labels; an end as the step that it is."""
    found: dict[str, Any] = {}
    for step in (record.end or {})["ledger"]["steps"]:
        found.setdefault(step["label"], step)
    return found


@pytest.mark.parametrize(
    ("kind", "given", "taken", "names"),
    [
        (DROP, 250, 248, {origin(1): LOST, origin(3): LOST}),
        (DOUBLE, 250, 252, {origin(1): TOO_MANY, origin(3): TOO_MANY}),
        (EXCHANGE, 250, 250, {origin(1): LOST, origin(5): LOST, origin(3): TOO_MANY, origin(7): TOO_MANY}),
    ],
)
def test_a_fault_before_a_shuffle_is_located(
    kind: str, given: int, taken: int, names: dict[str, int]
) -> None:
    record = ran(FaultyRunner("group", kind, 2))
    (edge,) = broken(record)
    assert (edge["from"], edge["to"], edge["given"], edge["taken"]) == (["some"], "group", given, taken)
    assert edge["is_exact"]
    assert {one["origin"]: one["times"] for one in edge["examples"]} == names
    assert (record.end or {})["balance"]["holds"] is False


@pytest.mark.parametrize("step", ["parse", "some", "each", "clean"])
def test_a_fault_is_located_where_it_is(step: str) -> None:
    found = broken(ran(FaultyRunner(step, EXCHANGE)))
    assert {(edge["to"], edge["lost"], edge["added"]) for edge in found} == {(step, 1, 1)}


def test_a_fault_before_a_combine_is_located() -> None:
    # Its inputs are parts of seven groups: what an origin has twice or never is told by its number.
    (edge,) = broken(ran(FaultyRunner("total", DOUBLE)))
    assert (edge["from"], edge["to"], edge["lost"], edge["added"]) == (["each"], "total", 0, 1)


def test_many_losses_are_counted_and_some_of_them_named() -> None:
    record = ran(FaultyRunner("some", DROP, 300))
    (edge,) = broken(record)
    assert (edge["given"], edge["taken"], edge["lost"], edge["added"]) == (500, 200, 300, 0)
    assert not edge["is_exact"]
    named = {one["origin"] for one in edge["examples"]}
    assert named
    assert named <= {origin(number) for number in range(300)}


def test_a_run_that_loses_nothing_balances() -> None:
    record = ran("FnApiRunner")
    ledger = (record.end or {})["ledger"]
    assert ledger["holds"] is True
    assert not [edge for edge in ledger["edges"] if edge.get("reason")]
    steps = given_at(record)
    assert (steps["some"]["in"], steps["some"]["filtered"], steps["some"]["passed_on"]) == (500, 250, 250)
    assert (steps["group"]["in"], steps["group"]["out"]) == (250, {"None": 7})
    assert (steps["read"]["role"], steps["read"]["out"]) == ("source", {"None": NUMBERS})


def test_bundles_that_are_tried_again_count_once() -> None:
    record = ran(RetryingRunner(times=3))
    assert (record.end or {})["ledger"]["holds"] is True
    assert given_at(record)["parse"]["in"] == NUMBERS


def test_a_source_of_a_file_and_a_sink_are_told_with_the_line_of_a_lost_record(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"line {number}\n" for number in range(20)))
    given = PipelineOptions(["--obs_report=off"])
    with obs.Pipeline(FaultyRunner("long", DROP), given, name="lines") as p:
        (
            p
            | "read" >> beam.io.ReadFromText(str(tmp_path / "in.txt"))
            | "long" >> beam.Filter(lambda line: len(line) > 3)
            | "write" >> beam.io.WriteToText(str(tmp_path / "out"))
        )
    steps = given_at(obs.Store().find("lines@latest"))
    assert (steps["read"]["out"], steps["write"]["role"], steps["write"]["in"]) == ({"None": 20}, "sink", 19)
    told = CliRunner().invoke(command, ["balance", "lines@latest"])
    assert told.exit_code == 1
    assert "read -> long: out of read 20, into long 19 (1 lost)" in told.output
    assert "in.txt:1 @0: line 0" in told.output


def test_refused_and_filtered_records_are_told_apart() -> None:
    given = PipelineOptions(["--obs_report=off", "--obs_max_dead_rate=1"])
    with obs.Pipeline("FnApiRunner", given, name="refusing") as p:
        (
            p
            | "read" >> beam.Create(["1", "2", "x", ""])
            | "parse" >> obs.Stage(beam.FlatMap(lambda text: [int(text)] if text else []))
        )
    step = given_at(obs.Store().find("refusing@latest"))["parse"]
    assert (step["in"], step["passed_on"], step["filtered"], step["dead"]) == (4, 2, 1, 1)
    assert sum(step["out"].values()) == 2


def test_a_run_whose_input_is_empty_balances() -> None:
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="nothing") as p:
        p | beam.Create([]) | beam.Map(lambda number: (number, 1)) | beam.CombinePerKey(sum)
    ledger = (obs.Store().find("nothing@latest").end or {})["ledger"]
    assert (ledger["holds"], ledger["unchecked"]) == (True, "")


def test_the_numbers_of_a_run_say_that_it_is_not_balanced() -> None:
    families = {
        family.name: family for family in numbers_of_run(ran(FaultyRunner("group", EXCHANGE))).families
    }
    assert families[RUN_BALANCED].samples[0].value == 0


def test_the_command_tells_a_broken_edge_and_fails() -> None:
    ran(FaultyRunner("group", EXCHANGE))
    told = CliRunner().invoke(command, ["balance", "numbers@latest"])
    assert told.exit_code == 1
    assert "some -> group: 1 lost, 1 too many" in told.output
    as_json = CliRunner().invoke(command, ["balance", "numbers@latest", "--json"])
    assert as_json.exit_code == 1
    answer = json.loads(as_json.output)
    assert answer["holds"] is False
    assert answer["examples"].keys() == {origin(1), origin(3)}


def test_the_command_says_that_a_run_is_balanced() -> None:
    ran("FnApiRunner")
    told = CliRunner().invoke(command, ["balance", "numbers@latest"])
    assert told.exit_code == 0
    assert "by origins: what each step gave is what the next took" in told.output
    assert "Map(decode)" not in told.output
    assert "\n\n\n" not in told.output
    assert not told.output.endswith("\n\n")


def test_numbers_of_the_command_stay_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    ran("FnApiRunner")
    monkeypatch.setenv("COLUMNS", "40")
    lines = CliRunner().invoke(command, ["balance", "numbers@latest"]).output.splitlines()
    assert max(map(len, lines)) <= 40
    assert ["parse", "500", "0", "500"] in map(str.split, lines)


def test_without_lineage_nothing_is_said_of_origins() -> None:
    record = ran("FnApiRunner", "--obs_lineage=off")
    assert (record.end or {})["ledger"]["unchecked"] == "the run has no lineage"
    told = CliRunner().invoke(command, ["balance", "numbers@latest"])
    assert "not checked by origins: the run has no lineage" in told.output


def test_a_run_that_fails_is_not_said_to_be_balanced() -> None:
    with pytest.raises(ZeroDivisionError), obs.Pipeline("FnApiRunner", name="failing") as p:
        p | beam.Create([1, 0]) | beam.Map(lambda number: 1 / number)
    told = CliRunner().invoke(command, ["balance", "failing@latest"])
    assert told.exit_code == 1
    assert "not checked" in told.output
    assert "balanced:" not in told.output


@pytest.mark.parametrize(
    ("step", "kind", "amount", "number"),
    [
        ("some", DROP, (1, 0), 1),
        ("twice", EXCHANGE, (1, 1), 21),
        ("group", DOUBLE, (0, 1), 43),
        ("each", DROP, (1, 0), 5),
        ("total", DROP, (1, 0), 30),
        ("clean", DROP, (1, 0), 8),
    ],
)
def test_a_fault_in_one_window_is_located_with_the_window(
    step: str, kind: str, amount: tuple[int, int], number: int
) -> None:
    """The runner loses, doubles or exchanges after some elements that are whole."""
    record = ran_in_windows(FaultyRunner(step, kind, after=number))
    (edge,) = broken(record)
    assert edge["to"] == step
    (found,) = edge["windows"]
    assert (found["lost"], found["added"]) == amount
    assert {example["window"] for example in edge["examples"]} <= {found["window"]}
    assert found["window"] in CliRunner().invoke(command, ["balance", "windowed@latest"]).output


def test_windows_are_named_each_with_its_amount_and_record() -> None:
    (edge,) = broken(ran_in_windows(FaultyRunner("some", DROP, 2, every=30)))
    assert edge["windows"] == [
        {"window": "[0.0, 10.0)", "lost": 1, "added": 0},
        {"window": "[30.0, 40.0)", "lost": 1, "added": 0},
    ]
    assert {(one["origin"], one["window"]) for one in edge["examples"]} == {
        (origin(0), "[0.0, 10.0)"),
        (origin(30), "[30.0, 40.0)"),
    }


def test_windows_of_a_run_that_loses_nothing_are_held_against_each_other() -> None:
    edges = (ran_in_windows(RetryingRunner(times=2)).end or {})["ledger"]["edges"]
    by_window = {edge["to"] for edge in edges if edge.get("by_window")}
    assert by_window == {"same", "some", "twice", "group", "each", "total", "clean"}
    assert {edge["to"]: edge["whole"] for edge in edges if edge["to"] not in by_window} == dict.fromkeys(
        ["read/Map(decode)", "times", "windows"], "it is in the global window"
    )


@pytest.mark.parametrize("runner", [RetryingRunner(times=2), "DirectRunner"])
@pytest.mark.slow
def test_an_element_counts_in_each_of_the_windows_that_it_is_in(runner: Any) -> None:
    edges = {edge["to"]: edge for edge in (ran_in_sliding_windows(runner).end or {})["ledger"]["edges"]}
    assert [to for to, edge in edges.items() if edge.get("lost") or edge.get("added")] == []
    assert (edges["windows"]["taken"], edges["same"]["given"], edges["same"]["taken"]) == (100, 200, 200)
    by_window = {to for to, edge in edges.items() if edge.get("by_window")}
    assert by_window == {
        *("same", "start", "some", "twice", "shuffled", "group", "each", "seen", "later", "total", "clean"),
        "end windows",
    }
    assert edges["after"]["whole"] == "it is in the global window"


def test_an_origin_in_several_windows_raises_no_alarm() -> None:
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="hours") as p:
        (
            p
            | "read" >> beam.Create(range(50))
            | "hours"
            >> beam.FlatMap(lambda number: [TimestampedValue((number % 3, at), at) for at in range(9)])
            | "windows" >> beam.WindowInto(FixedWindows(3))
            | "some" >> beam.Filter(lambda pair: pair[1] % 2)
            | "later" >> beam.Map(lambda pair: TimestampedValue(pair, pair[1] + 3))
            | "same" >> beam.Map(lambda pair: pair)
            | "total" >> beam.CombinePerKey(sum)
        )
    ledger = (obs.Store().find("hours@latest").end or {})["ledger"]
    assert ledger["holds"] is True
    assert not [edge for edge in ledger["edges"] if edge.get("reason")]


@pytest.mark.slow
def test_many_elements_of_a_bundle_are_summed_up_by_window_as_they_come() -> None:
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="many") as p:
        (
            p
            | "read" >> beam.Create(range(20_000))
            | "times" >> beam.Map(lambda number: TimestampedValue(number, number % 60))
            | "windows" >> beam.WindowInto(FixedWindows(20))
            | "some" >> beam.Filter(lambda number: number % 5)
            | "both" >> beam.FlatMap(lambda number: iter([number, -number]))
            | "same" >> beam.Map(lambda number: number)
        )
    edges = {edge["to"]: edge for edge in (obs.Store().find("many@latest").end or {})["ledger"]["edges"]}
    assert (edges["both"]["by_window"], edges["both"]["taken"]) == (True, 16_000)
    assert (edges["same"]["by_window"], edges["same"]["taken"]) == (True, 32_000)


@pytest.mark.parametrize("runner", ["FnApiRunner", RetryingRunner(times=2)])
@pytest.mark.slow
def test_many_records_balance(runner: Any, tmp_path: Path) -> None:
    assert_many_records_balance(tmp_path, runner, [], records=100_000)


def late_stream() -> TestStream:
    """Ten pairs in the first window, of which the last two come when it is closed, and one of the next."""
    stream = TestStream(coder=beam.coders.PickleCoder())
    stream.add_elements([TimestampedValue(("a", number), number) for number in range(8)])
    stream.advance_watermark_to(20)
    stream.add_elements([TimestampedValue(("a", number), number) for number in (8, 9)])
    stream.add_elements([TimestampedValue(("a", 25), 25)])
    return stream.advance_watermark_to_infinity()


def test_what_comes_too_late_is_told_and_no_imbalance() -> None:
    given = PipelineOptions(["--obs_report=off", "--streaming"])
    with obs.Pipeline("DirectRunner", given, name="late") as p:
        (
            p
            | "read" >> late_stream()
            | "pairs" >> beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
            | "windows" >> beam.WindowInto(FixedWindows(10))
            | "same" >> beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
            | "group" >> beam.GroupByKey()
            | "count" >> beam.MapTuple(lambda key, numbers: len(list(numbers)))
        )
    record = obs.Store().find("late@latest")
    edges = {edge["to"]: edge for edge in (record.end or {})["ledger"]["edges"]}
    assert (record.end or {})["ledger"]["holds"] is True
    assert (edges["group"]["given"], edges["group"]["taken"], edges["group"]["late"]) == (11, 9, 2)
    assert edges["group"]["by_window"]
    assert "late" not in edges["count"]


def test_an_erased_record_is_named_no_more() -> None:
    record = ran(FaultyRunner("group", EXCHANGE))
    assert origin(1) in json.dumps(record.end)
    erase(obs.Store(), Person(origins=frozenset([bytes.fromhex(origin(1))])))
    (edge,) = broken(obs.Store().find("numbers@latest"))
    assert [one["origin"] for one in edge["examples"]] == [origin(3)]
    store = obs.Store()
    evidence = read_evidence(store, record.folder)
    assert [manifest.details["sums"] for manifest in evidence.of_kind("ledger")] == [{}]
