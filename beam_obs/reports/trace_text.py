"""A record's way as `beam-obs trace` prints it: a tree with times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from beam_obs.lineage.way_of_record import ORIGIN, RecordTrace, SpanNode
from beam_obs.records.wording import clean, microseconds_text
from beam_obs.reports.lineage_text import run_text
from beam_obs.reports.lineage_words import shown_uri

_SOURCE = "beam.source.uri"
_SHOWN = (_SOURCE, "beam.position", "beam.contributors", "beam.dead_letter_id")
_INDENT = "   "


def trace_lines(answer: RecordTrace, url: str | None = None) -> Iterator[str]:
    """Gives the lines of an answer.

    Args:
      answer: the way of a record.
      url: of the trace in a backend.
    """
    yield f"origin    {answer.origin.hex()}"
    if answer.trace_id != answer.origin.hex():
        yield f"trace     {answer.trace_id}, which it came with"
    if answer.run is not None:
        yield f"run       {run_text(answer.run)}"
    if url is not None:
        yield f"backend   {clean(url)}"
    yield from (f"note      {click.style(clean(note), fg='yellow')}" for note in answer.notes)
    began = began_at(answer)
    for root in answer.roots:
        yield ""
        yield from _tree(root, began, "", "")


def began_at(answer: RecordTrace) -> int:
    """Returns when the first of the spans began, in nanoseconds since the epoch."""
    return min(_starts(answer.roots), default=0)


def _starts(nodes: Iterable[SpanNode]) -> Iterator[int]:
    """Gives when spans began, and those behind them: clocks of workers differ, so that one may be before its
    parent."""
    for node in nodes:
        yield node.span.start
        yield from _starts((*node.children, *node.into))


def details_of(node: SpanNode) -> list[str]:
    """Returns what is shown of a span beside its times."""
    span = node.span
    attributes = dict(span.attributes)
    if _SOURCE in attributes:
        attributes[_SOURCE] = shown_uri(str(attributes[_SOURCE]))
    found = [
        f"{name.removeprefix('beam.').replace('_', ' ').replace('.', ' ')} {clean(attributes[name])}"
        for name in _SHOWN
        if name in attributes
    ]
    if node.tries > 1:
        found.append(f"made {node.tries} times: a bundle was tried again, or several had elements of it")
    return found


def failures_of(node: SpanNode) -> list[str]:
    """Returns what was raised during a span, a line each."""
    return [
        ": ".join(
            clean(event.attributes[name])
            for name in ("exception.type", "exception.message")
            if event.attributes.get(name)
        )
        for event in node.span.events
        if event.name == "exception"
    ]


def _tree(node: SpanNode, began: int, before: str, below: str) -> Iterator[str]:
    """Gives the lines of a span, with `before` in front of its own and `below` of those that follow."""
    span = node.span
    times = f"+{microseconds_text((span.start - began) / 1000)}"
    if span.end > span.start:
        times += f", took {microseconds_text((span.end - span.start) / 1000)}"
    details = "".join(f" · {one}" for one in details_of(node))
    name = click.style(clean(span.name), bold=True, fg="red" if span.status == 2 else None)
    yield f"{before}{name}  {times}{click.style(details, dim=True)}"
    left = len(node.children) + len(node.into)
    beside = below + ("│  " if left else _INDENT)
    yield from (f"{beside}{click.style(one, fg='red')}" for one in failures_of(node))
    for number, child in enumerate([*node.children, *node.into], 1):
        branch, inner = (f"{below}├─ ", f"{below}│  ") if number < left else (f"{below}└─ ", below + _INDENT)
        if number <= len(node.children):
            yield from _tree(child, began, branch, inner)
        else:
            yield f"{branch}into {clean(child.span.attributes.get(ORIGIN, child.span.trace_id))}"
            yield from _tree(child, began, f"{inner}└─ ", inner + _INDENT)
