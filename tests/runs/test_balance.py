"""The balance holds when every record is accounted for, and names the place where one is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import GlobalWindows, SlidingWindows, TimestampedValue

import beam_obs as obs
from beam_obs.metrics.run_snapshot import Snapshot, StageCounts
from beam_obs.records.weave_report import Gathering
from beam_obs.records.window_counts import WindowCounts
from beam_obs.reports.balance_text import balance_text, dropped_texts, late_texts, unchecked_texts
from beam_obs.runs.balance import HOLDS_BACK, balance
from beam_obs.runs.graph import Edge, Graph, Step
from beam_obs.runs.ledger import EdgeFound, Ledger

READ = Step("read", False, (), {"None": "p1"})
PARSE = Step("parse", True, ("p1",), {"None": "p2"}, dead="p3")
CHECK = Step("check", True, ("p2",), {"None": "p4", "late": "p5"})
GRAPH = Graph(
    (READ, PARSE, CHECK),
    (
        Edge("p1", "read", ("parse",)),
        Edge("p2", "parse", ("check",)),
        Edge("p4", "check", ()),
        Edge("p5", "check", ()),
    ),
)
STAGES = {"parse": StageCounts(10, 8, 1, filtered=1), "check": StageCounts(8, 13)}
ELEMENTS = {"p1": 10, "p2": 8, "p3": 1, "p4": 8, "p5": 5}


def test_a_run_that_loses_nothing_balances() -> None:
    found = balance(GRAPH, Snapshot(STAGES, ELEMENTS), {"parse": 1, "check": 0})
    assert found.holds is True
    assert len(found.lines) == 9


def test_one_record_may_give_many() -> None:
    assert balance(None, Snapshot({"split": StageCounts(1, 1000)})).holds is True


@pytest.mark.parametrize(
    ("change", "where", "text"),
    [
        ({"parse": {"in_": 9, "out": 7}}, "read -> parse", "out of read 10, into parse 9 (1 lost)"),
        ({"check": {"in_": 9}}, "parse -> check", "out of parse 8, into check 9 (1 too many)"),
        ({"parse": {"dead": 0}}, "parse", "in 10, passed on + dead + filtered 9 (1 lost)"),
        ({"check": {"out": 12}}, "check", "out 12, counted by Beam 13 (1 too many)"),
        ({"parse": {"filtered": 12}}, "parse", "in 10, dead + filtered 13 (3 too many)"),
    ],
)
def test_the_place_where_it_breaks_is_named(change: dict[str, dict[str, int]], where: str, text: str) -> None:
    stages = {label: dataclasses.replace(counts, **change.get(label, {})) for label, counts in STAGES.items()}
    found = balance(GRAPH, Snapshot(stages, ELEMENTS))
    assert found.holds is False
    assert f"{where}: {text}" in [line.text for line in found.broken]


def test_dead_letters_that_are_not_in_the_store_break_it() -> None:
    found = balance(GRAPH, Snapshot(STAGES, ELEMENTS), {"parse": 0})
    assert [line.text for line in found.broken] == ["parse: dead 1, dead letters kept 0 (1 lost)"]
    attempted = Snapshot(STAGES, ELEMENTS, attempted=True)
    assert balance(GRAPH, attempted, {"parse": 0}).holds is True


def test_a_refusal_without_an_element_is_no_record_too_many() -> None:
    counts = StageCounts(10, 10, dead=2, leftovers=2)
    assert balance(None, Snapshot({"batch": counts})).holds is True


def test_without_beams_counts_stages_are_compared_with_each_other() -> None:
    one_output = dataclasses.replace(CHECK, inputs=("p2",))
    graph = Graph((PARSE, one_output), GRAPH.edges[1:2])
    stages = {**STAGES, "check": StageCounts(7, 7)}
    assert [line.text for line in balance(graph, Snapshot(stages)).broken] == [
        "parse -> check: out of parse 8, into check 7 (1 lost)"
    ]


def test_nothing_is_guessed() -> None:
    assert balance(GRAPH, Snapshot()).holds is None
    live = balance(GRAPH, Snapshot(STAGES, ELEMENTS, live=True), has_ended_well=False)
    assert (live.holds, live.unchecked) == (None, "the run ended before its counts were committed")
    unknown_tags = dataclasses.replace(CHECK, all_outputs_known=False)
    graph = Graph((READ, PARSE, unknown_tags), GRAPH.edges)
    fewer = {**ELEMENTS, "p5": 1}
    assert balance(graph, Snapshot(STAGES, fewer)).holds is True


def test_a_run_that_failed_is_neither_balanced_nor_broken_whatever_its_runner_counted() -> None:
    held_back = {**ELEMENTS, "p2": 6}
    for elements in (ELEMENTS, held_back):
        failed = balance(GRAPH, Snapshot(STAGES, elements), has_ended_well=False)
        assert (failed.holds, failed.broken) == (None, ())
        assert failed.unchecked == "the run ended before its counts were committed"


def test_a_run_that_ended_well_is_not_said_to_have_ended_before_its_counts() -> None:
    live = balance(GRAPH, Snapshot(STAGES, ELEMENTS, live=True))

    assert live.holds is None
    assert (
        live.unchecked == "the runner lost counts of its own, and those shown were looked at in this process"
    )


# What was not checked.


def test_a_run_all_edges_of_which_were_checked_says_how_many() -> None:
    found = balance(GRAPH, Snapshot(STAGES, ELEMENTS)).to_json()
    assert (found["edges"], found["edges_checked"], found["unchecked_edges"]) == (2, 2, [])
    assert balance_text(found) == "balanced: every record is accounted for (2 edges; 7 checks of counts)"


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (Snapshot({"check": StageCounts(8, 13)}, {"p2": 8}), "the runner gave no count"),
        (Snapshot({"check": StageCounts(8, 13)}, {"p1": 10, "p2": 8}), "counted once, by Beam"),
        (
            Snapshot({"check": StageCounts(8, 13)}, {"p2": 8}, unclear=frozenset({"p1"})),
            "the runner gave several counts that differ",
        ),
    ],
)
def test_an_edge_without_two_counts_is_named(snapshot: Snapshot, reason: str) -> None:
    found = balance(GRAPH, snapshot).to_json()
    assert balance_text(found) == "balanced where checked: 1 of 2 edges (2 checks of counts)"
    assert found["unchecked_edges"] == [{"from": "read", "to": "parse", "reason": reason}]
    assert unchecked_texts(found) == [f"not checked ({reason}): read -> parse"]


def test_a_step_that_gives_each_once_is_checked_by_beams_counts() -> None:
    double = dataclasses.replace(CHECK, label="double", is_stage=False, outputs={"None": "p4"})
    graph = Graph(
        (READ, dataclasses.replace(double, inputs=("p1",), gives_each_once=True), READ), GRAPH.edges[:1]
    )
    assert balance(graph, Snapshot(elements={"p1": 10, "p4": 10})).holds is True
    assert balance(graph, Snapshot(elements={"p1": 10, "p4": 9})).broken[0].text == (
        "double: in 10, out 9 (1 lost)"
    )


def test_a_step_that_keeps_records_in_state_is_named() -> None:
    keeping = dataclasses.replace(CHECK, keeps_state=("check/State",))
    graph = Graph((READ, PARSE, keeping), GRAPH.edges)
    stages = {**STAGES, "check": StageCounts(8, 13, filtered=6)}
    found = balance(graph, Snapshot(stages, ELEMENTS)).to_json()
    assert found["holds"] is True
    assert found["unchecked_steps"] == [
        {"step": "check", "reason": "it keeps records in state: what did not come out is there, or lost"}
    ]
    assert balance_text(found) == "balanced where checked: 2 of 2 edges (6 checks of counts)"


def test_a_step_that_keeps_records_in_state_is_named_where_only_the_ledger_has_counts() -> None:
    keeping = dataclasses.replace(CHECK, keeps_state=("check/State",))
    ledger = Ledger((EdgeFound(("parse",), "check", 8, 8),))
    found = balance(Graph((READ, PARSE, keeping), GRAPH.edges), Snapshot({}), ledger=ledger).to_json()
    assert found["holds"] is True
    assert [step["step"] for step in found["unchecked_steps"]] == ["check"]
    assert balance_text(found).startswith("balanced where checked")


# Steps that bring elements together.

BATCH = Step("batch", False, ("p2",), {"None": "p4"}, keeps_state=("batch/ParDo",))
BATCHES = Graph((READ, PARSE, BATCH), (*GRAPH.edges[:2], Edge("p4", "batch", ())))
GATHERED = Gathering("batch", ("p2",), ("batch_1", "batch/ParDo"))
LATE = dataclasses.replace(GATHERED, may_drop=True)


def gathered(
    count: int, gathering: Gathering = GATHERED, windows: Any = None, ended: bool = True
) -> dict[str, Any]:
    snapshot = Snapshot({"parse": STAGES["parse"]}, ELEMENTS, gathered={"batch_1": count})
    counts = {window: WindowCounts(*told) for window, told in (windows or {}).items()}
    return balance(BATCHES, snapshot, None, [gathering], {"batch": counts}, (), ended).to_json()


def test_batches_that_hold_all_that_went_in_are_checked() -> None:
    assert (
        balance_text(gathered(8)) == "balanced: every record is accounted for (2 edges; 5 checks of counts)"
    )


def test_what_went_into_batches_and_never_came_out_is_lost() -> None:
    (line,) = gathered(6)["broken"]
    assert line["text"] == "batch: in 8, in its groups 6 (2 lost)"


def test_what_batches_hold_when_a_stream_is_cancelled_is_not_lost() -> None:
    found = gathered(6, ended=False)
    assert (found["holds"], found["broken"]) == (None, [])
    assert found["unchecked_steps"][0]["reason"] == "what it held at the end is not known"


def test_late_records_are_counted_by_window() -> None:
    windows = {"[0, 10)": [8, 4], "[10, 20)": [4, 4], "[20, 30)": [3, 2]}
    found = gathered(10, LATE, windows)
    assert found["dropped"] == [
        {"step": "batch", "count": 5, "windows": {"[0, 10)": 4, "[20, 30)": 1}},
    ]
    assert balance_text(found).endswith("(2 edges; 5 checks of counts); 5 dropped as late")
    assert dropped_texts(found) == [
        "dropped as late by batch: 5, of windows [0, 10): 4, [20, 30): 1",
    ]


def test_records_that_came_late_and_were_taken_are_told_by_window() -> None:
    found = gathered(12, LATE, {"[0, 10)": [8, 8, 3], "[10, 20)": [4, 4, 0]})
    assert (found["dropped"], found["holds"]) == ([], True)
    assert found["late"] == [{"step": "batch", "count": 3, "windows": {"[0, 10)": 3}}]
    assert late_texts(found) == ["came late and was taken by batch: 3, of window [0, 10)"]


def test_nothing_is_told_as_late_where_panes_hold_records_of_those_before_them() -> None:
    accumulates = dataclasses.replace(LATE, obstacle="its panes hold records of those before them")
    found = gathered(24, accumulates, {"[0, 10)": [12, 22, 12]})
    assert (found["late"], found["dropped"]) == ([], [])


def test_windows_that_merge_are_not_told_apart() -> None:
    found = gathered(3, LATE, {"[0, 10)": [2, 0], "[5, 15)": [2, 0], "[0, 15)": [0, 3]})
    assert found["dropped"] == [{"step": "batch", "count": 1, "windows": {}}]


@pytest.mark.parametrize(("count", "taken", "ended"), [(11, 12, True), (10, 9, True), (10, 12, False)])
def test_nothing_is_late_of_windows_that_are_not_all_known(count: int, taken: int, ended: bool) -> None:
    found = gathered(count, LATE, {"[0, 10)": [taken, 10]}, ended)
    assert found["dropped"] == []
    assert [step["step"] for step in found["unchecked_steps"]] == ["batch"]


def test_a_step_whose_counts_cannot_be_held_against_each_other_is_named() -> None:
    found = gathered(11, dataclasses.replace(GATHERED, obstacle="its panes overlap"))
    assert found["holds"] is True
    assert found["unchecked_steps"] == [{"step": "batch", "reason": "its panes overlap"}]


def test_what_a_runner_that_loses_counts_says_is_no_proof_of_a_loss() -> None:
    stages = {"parse": StageCounts(9, 8, 0, filtered=1), "check": STAGES["check"]}
    found = balance(GRAPH, Snapshot(stages, ELEMENTS, may_miss=True), {"parse": 1}).to_json()
    assert found["holds"] is True
    (edge,) = found["unchecked_edges"]
    assert (edge["from"], edge["to"]) == ("read", "parse")
    assert edge["reason"] == "counts differ, and the runner may have lost those of a bundle"
    assert [step["step"] for step in found["unchecked_steps"]] == ["parse"]


def test_what_a_runner_counted_and_the_store_does_not_have_is_lost_all_the_same() -> None:
    found = balance(GRAPH, Snapshot(STAGES, ELEMENTS, may_miss=True), {"parse": 0})
    assert [line.text for line in found.broken] == ["parse: dead 1, dead letters kept 0 (1 lost)"]


# Where the ledger has not all.


@pytest.mark.parametrize(("given", "taken", "end"), [(10, 8, "into parse"), (7, 10, "out of read")])
def test_a_ledger_that_lacks_rows_at_one_end_is_incomplete_there_and_nothing_is_broken(
    given: int, taken: int, end: str
) -> None:
    edge = EdgeFound(("read",), "parse", given, taken, max(0, given - taken), max(0, taken - given))
    others = EdgeFound(("parse",), "check", 8, 8)
    found = balance(GRAPH, Snapshot(STAGES, ELEMENTS), ledger=Ledger((edge, others)))
    lacking = min(given, taken)
    why = f"the ledger is incomplete: {end} it has {lacking}, and 10 were counted at both ends"
    assert (found.holds, found.broken) == (True, ())
    told = found.to_json()
    assert balance_text(told) == "balanced where checked: 1 of 2 edges (all 1 by origins; 7 checks of counts)"
    assert unchecked_texts(told) == [f"not checked ({why}): read -> parse"]
    assert [one.get("reason") for one in found.ledger.to_json()["edges"]] == [why, None]


@pytest.mark.parametrize(
    ("given", "taken", "stages", "elements"),
    [
        (10, 9, {"parse": {"in_": 9, "out": 7}}, ELEMENTS),  # Beam counts the loss too
        (10, 9, {}, {name: count for name, count in ELEMENTS.items() if name != "p1"}),  # nobody counts it
        (10, 10, {}, ELEMENTS),  # one in the place of another
        (10, 11, {}, ELEMENTS),  # more than there are
        (9, 8, {}, ELEMENTS),  # neither end is what was counted
    ],
)
def test_a_loss_that_counts_do_not_contradict_is_found(
    given: int, taken: int, stages: dict[str, dict[str, int]], elements: dict[str, int]
) -> None:
    counts = {label: dataclasses.replace(one, **stages.get(label, {})) for label, one in STAGES.items()}
    edge = EdgeFound(("read",), "parse", given, taken, max(1, given - taken), 1)
    found = balance(GRAPH, Snapshot(counts, elements), ledger=Ledger((edge,)))
    assert found.holds is False
    assert edge in found.broken


# Steps that hold records until their bundle ends.


class Held(beam.DoFn):
    """Holds numbers in itself, and gives but the first of them when the bundle ends."""

    def start_bundle(self) -> None:
        self._numbers: list[int] = []

    def process(self, number: int) -> None:
        self._numbers.append(number)

    def finish_bundle(self) -> Any:
        for number in self._numbers[:1]:
            yield GlobalWindows.windowed_value(number)


class Closed(beam.DoFn):
    """Gives what it takes; when the bundle ends it closes something, and gives nothing."""

    def process(self, number: int) -> list[int]:
        return [number]

    def finish_bundle(self) -> None:
        self._is_closed = True


class Told(Held):
    """Says that what it gives when its bundle ends is no record."""

    holds_back = False


def balance_behind(step: Any, folder: Any) -> dict[str, Any]:
    """Returns the balance of a run of a step that is followed by a sink of Beam's."""
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="held") as p:
        made = p | "make" >> beam.Create(range(10)) | "step" >> step
        _ = made | "text" >> beam.Map(str) | "write" >> beam.io.WriteToText(str(folder / "out"))
    found: dict[str, Any] = (obs.Store().find("held@latest").end or {})["balance"]
    return found


@pytest.mark.parametrize("step", [beam.ParDo(Held()), obs.Stage(beam.ParDo(Held()))])
def test_a_step_that_holds_records_until_its_bundle_ends_is_named(step: Any, tmp_path: Path) -> None:
    found = balance_behind(step, tmp_path)
    assert found["holds"] is True
    assert balance_text(found).startswith("balanced where checked")
    assert unchecked_texts(found) == [f"not checked ({HOLDS_BACK}): step"]


@pytest.mark.parametrize("step", [beam.ParDo(Closed()), beam.ParDo(Told()), beam.BatchElements(3, 3)])
def test_a_step_that_holds_no_record_is_not(step: Any, tmp_path: Path) -> None:
    assert balance_behind(step, tmp_path)["unchecked_steps"] == []


@pytest.mark.parametrize("traces", ["off", "store"])
def test_a_record_refused_in_several_windows_was_refused_once(tmp_path: Path, traces: str) -> None:
    options = ["--obs_max_dead_rate=1", f"--obs_store={tmp_path}", f"--obs_traces={traces}"]
    with obs.Pipeline("FnApiRunner", PipelineOptions(options), name="sliding") as p:
        texts = p | beam.Create(["1", "2", "x", "x"]) | beam.Map(lambda text: TimestampedValue(text, 5))
        _ = texts | beam.WindowInto(SlidingWindows(4, 2)) | "parse" >> obs.Stage(beam.Map(int))

    store = obs.Store(str(tmp_path))
    end = store.find("latest").end or {}
    assert end["balance"]["holds"] is True, end["balance"]
    letters = list(obs.read_dead_letters("latest", store=store))
    assert (
        len({letter.id for letter in letters}) == len({(letter.id, letter.window) for letter in letters}) == 4
    )
    assert len({letter.window for letter in letters}) == 2
    assert end["dead_letters"]["not_kept"] == {}
