"""The picture of a run: every step and edge of the run is in it, with its numbers and marks."""

from __future__ import annotations

import re
import time
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.reports.graph_picture import run_picture
from beam_obs.reports.marked_graph import MarkedEdge, NoStepsYet, marked_graph
from beam_obs.store.run_record import RunRecord

SVG = "{http://www.w3.org/2000/svg}"
START = {"started": "2026-01-02T03:04:05.000000Z", "code": {"version": "abc123"}, "runner": "FnApiRunner"}


def step(label: str, *after: str, is_stage: bool = False, taken: int | None = None) -> dict[str, Any]:
    return {"label": label, "is_stage": is_stage, "in": taken, "out": None, "after": list(after)}


def stage(label: str, **counts: int) -> dict[str, Any]:
    return {"label": label, "in": 0, "out": 0, "dead": 0, "filtered": 0, "dropped": 0, **counts}


def edge(source: str, target: str, count: int | None, **more: bool) -> dict[str, Any]:
    return {"from": source, "to": target, "count": count, **more}


def a_run(*steps: dict[str, Any], **end: Any) -> RunRecord:
    told = {"status": "done", "finished": START["started"], "counts_from": "result", "steps": list(steps)}
    return RunRecord("flights", "01a204c0", START, {**told, **end})


def parsed(record: RunRecord) -> ElementTree.Element:
    return ElementTree.fromstring(run_picture(record))


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [group for group in root.iter(f"{SVG}g") if name in group.get("class", "").split()]


def texts(element: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in element.iter(f"{SVG}text")]


def title(element: ElementTree.Element) -> str:
    return element.findtext(f"{SVG}title") or ""


def test_each_step_and_edge_is_there_with_its_count() -> None:
    record = a_run(
        step("read"),
        step("parse", "read"),
        step("write", "parse"),
        step("look up", "parse"),
        edges=[edge("read", "parse", 12345), edge("parse", "write", None), edge("parse", "look up", 0)],
    )
    root = parsed(record)
    assert [group.get("data-step") for group in of_class(root, "step")] == [
        "read",
        "parse",
        "write",
        "look up",
    ]
    assert [texts(group) for group in of_class(root, "edge")] == [["12,345"], [], ["0"]]
    assert [
        (group.get("data-from"), group.get("data-to"), group.get("data-count"))
        for group in of_class(root, "edge")
    ] == [("read", "parse", "12345"), ("parse", "write", ""), ("parse", "look up", "0")]


def test_the_heading_names_pipeline_run_status_and_code() -> None:
    root = parsed(a_run(step("read"), dead_letters={"count": 1400}, lineage={"text": "lineage: 4 of 4"}))
    heading = "".join(span.text or "" for span in root.iter(f"{SVG}tspan"))
    for part in (
        "flights",
        "done, 1,400 dead",
        "01a204c0",
        "abc123",
        "2026-01-02 03:04:05",
        "lineage: 4 of 4",
    ):
        assert part in heading
    assert title(root) == "flights: done, 1,400 dead"


def test_what_did_not_go_on_leaves_aside() -> None:
    root = parsed(
        a_run(
            step("check", is_stage=True),
            step("write"),
            stages=[stage("check", dead=1400, filtered=7, dropped=2)],
        )
    )
    check, write = of_class(root, "step")
    assert [texts(group) for group in of_class(check, "exit")] == [
        ["1,400 dead"],
        ["7 filtered"],
        ["2 dropped"],
    ]
    assert [group.get("class") for group in of_class(check, "dead")] == ["exit dead"]
    assert of_class(write, "exit") == []


def test_dead_letters_of_a_step_that_counts_none_are_those_that_were_kept() -> None:
    kinds = [{"stage": "foreign", "count": 3}, {"stage": "foreign", "count": 4}]
    graph = marked_graph(a_run(step("foreign"), dead_letters={"count": 7, "by_fingerprint": kinds}))
    assert graph.steps[0].dead == 7


def test_an_opaque_step_is_marked_and_says_why() -> None:
    opaque = {"outer/join/Group": "in another language", "score": "it processes batches"}
    lineage = {"text": "lineage: 2 of 4 transforms, 2 opaque: score - ...", "opaque": opaque}
    root = parsed(a_run(step("outer/join"), step("score"), step("scores"), lineage=lineage))
    marked = of_class(root, "opaque")
    assert [group.get("data-step") for group in marked if group.get("data-step")] == ["outer/join", "score"]
    assert "opaque: outer/join/Group - in another language" in title(marked[0])
    assert "opaque: it processes batches" in title(marked[1])
    assert "opaque: it processes batches" in texts(marked[1])


def test_the_step_that_failed_is_marked() -> None:
    error = {"message": "ValueError: no [while running 'parse/Observed']", "type": "ValueError"}
    root = parsed(a_run(step("parse"), step("write", "parse"), status="failed", error=error))
    assert [
        group.get("data-step") for group in of_class(root, "step") if "failed" in group.get("class", "")
    ] == ["parse"]


def test_a_part_of_a_composite_has_its_own_name_and_the_whole_as_tooltip() -> None:
    root = parsed(a_run(step("clean up/parse", is_stage=True), step("Map(<lambda at a/b.py:3>)")))
    part, plain = of_class(root, "step")
    assert (texts(part), title(part)) == (["parse", "clean up"], "clean up/parse")
    assert texts(plain) == ["Map(<lambda at a/b.py:3>)"]


def test_a_side_input_is_marked() -> None:
    root = parsed(a_run(step("a"), step("b", "a"), edges=[edge("a", "b", 5, side=True)]))
    (group,) = of_class(root, "edge")
    assert "side" in group.get("class", "").split()
    assert title(group) == "a → b: 5 (side input)"


def test_a_run_that_did_not_note_its_edges_has_those_that_follow_from_its_steps() -> None:
    record = a_run(
        step("a"),
        step("b"),
        step("parse", "a", taken=5),
        step("join", "b", "parse", taken=12),
        step("write", "join", "gone", taken=12),
    )
    assert marked_graph(record).edges == (
        MarkedEdge("a", "parse", 5),
        # What each of two gave is not known.
        MarkedEdge("b", "join", None),
        MarkedEdge("parse", "join", None),
        MarkedEdge("join", "write", 12),
    )


def test_a_run_without_a_graph_shows_its_stages() -> None:
    root = parsed(a_run(stages=[stage("parse", dead=1)]))
    assert [group.get("data-step") for group in of_class(root, "step")] == ["parse"]


def test_a_run_of_which_no_steps_are_known_has_no_picture() -> None:
    with pytest.raises(NoStepsYet, match="no steps are known of run 01a204c0"):
        run_picture(RunRecord("flights", "01a204c0", START))


@given(
    st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True),
    st.text(),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 10**12)), max_size=8),
)
def test_any_text_makes_a_picture_that_can_be_read(
    labels: list[str], reason: str, pairs: list[tuple[int, int, int]]
) -> None:
    edges = [
        edge(labels[one], labels[other], count)
        for one, other, count in pairs
        if one < len(labels) and other < len(labels)
    ]
    lineage = {"text": reason, "opaque": {labels[0]: reason}}
    root = parsed(a_run(*(step(label) for label in labels), edges=edges, lineage=lineage))
    assert len(of_class(root, "step")) == len(labels)
    assert len(of_class(root, "edge")) == sum(one["from"] != one["to"] for one in edges)


def test_no_text_is_wider_than_its_box() -> None:
    names = ["x" * 200, "鳥" * 40, "a/" * 60 + "b", "m" * 30, "e\u0301" * 40]
    root = parsed(a_run(*map(step, names), lineage={"text": "", "opaque": dict.fromkeys(names, "why " * 30)}))
    for group in of_class(root, "step"):
        box = group.find(f"{SVG}rect")
        assert box is not None
        width = float(box.get("width", ""))
        for text in group.iter(f"{SVG}text"):
            size = 11 if "small" in text.get("class", "") else 13
            wide = len(re.findall("鳥", text.text or ""))
            narrow = len((text.text or "").replace("\u0301", "")) + wide
            assert narrow * 0.602 * size < width - 10


def test_a_picture_asks_for_nothing_and_runs_nothing() -> None:
    picture = run_picture(a_run(step("read"), step("<script>alert(1)</script>", "read")))
    assert "<script" not in picture
    assert set(re.findall(r"https?:[^\s\"]+", picture)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme:dark" in picture


def test_a_line_is_as_wide_as_its_count_on_a_log_scale() -> None:
    counts = [0, 1, 10, 100, 10**9]
    labels = [f"step {number}" for number in range(len(counts))]
    edges = [edge("read", label, count) for label, count in zip(labels, counts, strict=True)]
    root = parsed(a_run(step("read"), *(step(label, "read") for label in labels), edges=edges))
    lines = [group.find(f"{SVG}path[@class='line']") for group in of_class(root, "edge")]
    none, one, ten, hundred, most = (
        float(line.get("stroke-width", "")) for line in lines if line is not None
    )
    assert none == one < ten < hundred < most < 10
    assert ten - one == pytest.approx(hundred - ten, abs=0.11)
    assert any(
        "the more records, the wider (log scale)" in texts(legend) for legend in of_class(root, "legend")
    )


def test_datasets_stand_in_the_steps_that_read_and_write_them() -> None:
    inputs = [{"label": "read/Read", "name": "rows", "uri": "gs://bucket/in/rows-*.csv"}]
    outputs = [{"label": "write", "name": "write", "uri": "gs://bucket/out/rows"}]
    record = a_run(step("read"), step("parse"), step("write"), inputs=inputs, outputs=outputs)
    root = parsed(record)
    reads, writes = of_class(root, "dataset")[:2]
    assert (texts(reads), texts(writes)) == (["read", "reads rows-*.csv"], ["write", "writes rows"])
    assert "reads gs://bucket/in/rows-*.csv" in title(reads)
    assert [group.get("data-step") for group in of_class(root, "dataset")][:2] == ["read", "write"]


def test_a_stage_has_its_times_and_one_that_timed_nothing_has_none() -> None:
    timed = [stage("parse", p50_us=15, p99_us=2500), {**stage("check"), "p50_us": None, "p99_us": None}]
    root = parsed(a_run(step("parse", is_stage=True), step("check", is_stage=True), stages=timed))
    assert [texts(group) for group in of_class(root, "step")] == [
        ["parse", "p50 15 µs · p99 2.5 ms"],
        ["check"],
    ]


def test_zeros_that_nobody_counted_are_no_counts() -> None:
    record = a_run(step("parse", is_stage=True), stages=[stage("parse")], counts_from=None)
    (parse,) = marked_graph(record).steps
    assert (parse.taken, parse.given) == (None, None)


def test_a_picture_of_sixty_steps_does_not_take_long() -> None:
    labels = [f"step {number}" for number in range(60)]
    steps = [step(label, *labels[max(0, at - 1 - at % 3) : at : 2]) for at, label in enumerate(labels)]
    began = time.process_time()
    picture = run_picture(a_run(*steps))
    assert time.process_time() - began < 3
    assert len(picture) < 100_000


def test_what_was_not_checked_is_told_where_it_is() -> None:
    balance = {
        "holds": True,
        "checked": 5,
        "edges": 2,
        "edges_checked": 1,
        "unchecked_edges": [{"from": "read", "to": "hold", "reason": "counted once, by Beam"}],
        "unchecked_steps": [{"step": "hold", "reason": "it keeps records in state"}],
    }
    late = {**step("hold", "read", taken=10), "dropped": 4}
    edges = [edge("read", "hold", 10), edge("hold", "write", 6)]
    root = parsed(a_run(step("read"), late, step("write", "hold"), edges=edges, balance=balance))
    assert any(
        "balanced where checked: 1 of 2 edges (5 checks of counts)" in "".join(text.itertext())
        for text in root
    )
    assert [title(one).partition("\n")[2] for one in of_class(root, "edge")] == [
        "not checked: counted once, by Beam",
        "",
    ]
    (held,) = [one for one in of_class(root, "step") if one.get("data-step") == "hold"]
    assert "not checked: it keeps records in state" in title(held)
    assert held.get("data-dropped") == "4"
    assert "4 dropped" in texts(held)
