"""A tree of spans is drawn so that what goes on at one place can be told apart."""

from __future__ import annotations

import click

from beam_obs.lineage.way_of_record import RecordTrace, SpanNode
from beam_obs.records.span_rows import SpanRow
from beam_obs.reports.trace_text import trace_lines


def node(name: str, *children: SpanNode, into: tuple[SpanNode, ...] = ()) -> SpanNode:
    return SpanNode(SpanRow("7" * 32, "1" * 16, name, 5, 5), 1, children, into)


def test_branches_go_on_beside_what_is_below_the_others() -> None:
    group = node("group", node("sum"))
    root = node("read", node("parse", node("text", into=(group,)), node("count")), node("write"))

    answer = RecordTrace(None, b"7" * 16, "37" * 16, (root,))
    tree = [click.unstyle(line).split("  +")[0] for line in trace_lines(answer)]

    assert tree[2:] == [
        "read",
        "├─ parse",
        "│  ├─ text",
        f"│  │  └─ into {'7' * 32}",
        "│  │     └─ group",
        "│  │        └─ sum",
        "│  └─ count",
        "└─ write",
    ]
