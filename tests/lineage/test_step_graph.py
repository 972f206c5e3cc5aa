"""The way through a graph of steps: what every way passes, and where ways part."""

from __future__ import annotations

from beam_obs.lineage.step_graph import StepGraph


def graph(*edges: str, beside: tuple[str, ...] = ()) -> StepGraph:
    pairs = [(*edge.split(">"), False) for edge in edges] + [(*edge.split(">"), True) for edge in beside]
    labels = dict.fromkeys(label for first, last, _ in pairs for label in (first, last))
    return StepGraph(
        {
            "steps": [{"label": label, "after": []} for label in labels],
            "edges": [{"from": first, "to": last, "side": side} for first, last, side in pairs],
        }
    )


def told(found: StepGraph, first: str, last: str) -> list[str]:
    return [part.text for part in found.between(first, last)]


def test_a_straight_way_is_its_steps() -> None:
    assert told(graph("a>b", "b>c"), "a", "c") == ["a", "b", "c"]


def test_where_ways_part_one_of_them_was_taken() -> None:
    branching = graph("a>b", "a>c", "b>d", "c>e", "e>d", "d>f")
    assert told(branching, "a", "f") == ["a", "one of (b | c > e)", "d", "f"]


def test_a_way_may_go_straight_on() -> None:
    assert told(graph("a>b", "b>c", "a>c"), "a", "c") == ["a", "one of (b | straight on)", "c"]


def test_steps_that_lead_elsewhere_are_not_on_the_way() -> None:
    assert told(graph("a>b", "a>x", "y>b"), "a", "b") == ["a", "b"]


def test_a_part_of_a_step_is_that_step() -> None:
    assert told(graph("a>b", "b>c"), "a", "c/Write/inner") == ["a", "b", "c"]


def test_of_steps_that_are_not_connected_no_way_is_told() -> None:
    assert graph("a>b", "c>d").between("a", "d") == ()
    assert graph("a>b").between("a", "unknown") == ()


def test_a_side_input_is_no_way() -> None:
    found = graph("a>b", "c>d", beside=("b>d",))
    assert found.between("a", "d") == ()
    assert found.readers_beside("a") == ("d",)
    assert found.readers_beside("c") == ()


def test_within_a_step_the_weave_tells_who_reads_beside() -> None:
    edges = [{"from": "a", "to": "b", "side": False}, {"from": "b", "to": "c", "side": False}]
    read = {"b/make": ["b/look up"], "of ours": ["b"]}
    steps = [{"label": label, "after": []} for label in "abc"]
    found = StepGraph({"steps": steps, "edges": edges, "lineage": {"side_reads": read}})
    assert found.readers_beside("a") == found.readers_beside("b") == ("b",)
    assert found.readers_beside("c") == ()
