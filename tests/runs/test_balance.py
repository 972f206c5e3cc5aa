"""The balance holds when every record is accounted for, and names the place where one is not."""

from __future__ import annotations

import dataclasses

import pytest

from beam_obs.metrics.snapshot import Snapshot, StageCounts
from beam_obs.runs.balance import balance
from beam_obs.runs.graph import Edge, Graph, Step

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
    live = balance(GRAPH, Snapshot(STAGES, ELEMENTS, live=True))
    assert (live.holds, live.unchecked) == (None, "the run ended before its counts were committed")
    unknown_tags = dataclasses.replace(CHECK, all_outputs_known=False)
    graph = Graph((READ, PARSE, unknown_tags), GRAPH.edges)
    fewer = {**ELEMENTS, "p5": 1}
    assert balance(graph, Snapshot(STAGES, fewer)).holds is True
