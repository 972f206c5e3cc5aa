"""Answers about lineage as the commands print them: records whole, one to a line, and how sure it all is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import click

from beam_obs.lineage.answers import Fate, FromAggregate, FromSource, Into, RunOf, Why, Written
from beam_obs.lineage.certainty import COMPLETE, NOT_RECORDED, Certainty
from beam_obs.lineage.source_records import CHANGED, GONE, VERIFIED, SourceRecord
from beam_obs.lineage.step_graph import PathPart
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean
from beam_obs.reports.lineage_words import (
    elements_text,
    how_in_text,
    in_text,
    kept_text,
    may_be_text,
    path_text,
    shown_uri,
    source_place_text,
    sources_text,
    written_text,
)
from beam_obs.store.source_partition import SourcePartition

_INDENT = "  "
_MAY_BE_SHOWN = 10


def why_lines(answer: Why) -> Iterator[str]:
    """Gives the lines of an answer to `beam-obs why`."""
    record = answer.record
    if record is not None:
        at = f":{record.number}" if record.number else ""
        yield click.style(f"{shown_uri(record.file)}{at}", bold=True)
        yield f"{_INDENT}{clean(record.text)}"
        yield ""
    yield from _heading(answer.run, answer.certainty)
    if answer.sinks:
        yield _row("sink", ", ".join(map(clean, answer.sinks)))
    if answer.origin is not None:
        by = f", by its {answer.found_by}" if record is not None and answer.found_by else ""
        yield _row("origin", f"{answer.origin.hex()}{by}")
    yield from _notes(answer.notes)
    for number, tree in enumerate(answer.made_of):
        yield ""
        if len(answer.made_of) > 1:
            yield click.style(
                f"either of {len(answer.made_of)}, {number + 1}: origin {tree.origin.hex()}", bold=True
            )
        yield from _made_of(tree, "")
    if answer.others:
        yield ""
        yield "more records match:"
        yield from (f"{_INDENT}{clean(shown_uri(place))}" for place in answer.others)


def fate_lines(answer: Fate) -> Iterator[str]:
    """Gives the lines of an answer to `beam-obs fate`."""
    if answer.partition is not None:
        yield click.style(_place(answer.partition, answer.position, answer.record), bold=True)
        if answer.record is not None:
            yield from _record_lines(answer.record, _INDENT)
        yield ""
    yield from _heading(answer.run, answer.certainty)
    if answer.into is not None:
        yield _row("origin", answer.into.origin.hex())
    yield from _notes(answer.notes)
    yield ""
    if answer.into is None:
        if answer.certainty.kind == COMPLETE:
            yield "not read: it is no record of the source"
        return
    yield from _into(answer.into, "")
    for heading, others in (("before", answer.before), ("replayed", answer.replays)):
        for one in others:
            yield ""
            yield from _other_run(heading, one, answer.into.origin)


def _other_run(heading: str, answer: Fate, asked: bytes) -> Iterator[str]:
    """Gives the lines about what became of a record in another run."""
    if answer.run is not None:
        yield click.style(_row(heading, run_text(answer.run)), bold=True)
    yield _row("answer", certainty_text(answer.certainty))
    if answer.into is not None and answer.into.origin != asked:
        yield _row("origin", f"{answer.into.origin.hex()}, an aggregate of it that was refused")
    yield from _notes(answer.notes)
    if answer.into is not None:
        yield from _into(answer.into, "")


def partition_row(partition: SourcePartition) -> tuple[str, ...]:
    """Returns a partition as a row of a table: source, what it is, version, records, dead."""
    return (
        clean(partition.source),
        clean(shown_uri(partition.uri or partition.name)),
        clean(_short_version(partition.version)),
        "" if partition.records is None else f"{partition.records:,}",
        f"{partition.dead:,}" if partition.dead else "",
    )


def _short_version(version: str) -> str:
    size, sign, digest = version.partition("-")
    return f"{size}-{digest[:8]}" if sign and len(digest) == 32 else version


def run_text(run: RunOf) -> str:
    """Returns a run in one line."""
    code = f", code {clean(run.code)}" if run.code else ""
    replay = f", replay of {run.replay_of[:SHORT_ID]}" if run.replay_of else ""
    return (
        f"{run.id[:SHORT_ID]} ({clean(run.pipeline)}, {clean(run.status)}, {run.started[:19]}){code}{replay}"
    )


def certainty_text(certainty: Certainty) -> str:
    """Returns how sure an answer is, coloured."""
    color = {COMPLETE: "green", NOT_RECORDED: "red"}.get(certainty.kind, "yellow")
    return click.style(clean(certainty.text), fg=color)


def _heading(run: RunOf | None, certainty: Certainty) -> Iterator[str]:
    if run is not None:
        yield _row("run", run_text(run))
    yield _row("answer", certainty_text(certainty))


def _row(name: str, value: str) -> str:
    return f"{name:<8}  {value}"


def _notes(notes: Iterable[str]) -> Iterator[str]:
    for note in notes:
        yield _row("note", click.style(clean(note), fg="yellow"))


# Backward.


def _made_of(tree: FromSource | FromAggregate, indent: str) -> Iterator[str]:
    if isinstance(tree, FromSource):
        yield from _source(tree, indent)
        if tree.path:
            yield f"{indent}{_INDENT}{_path(tree.path)}"
        return
    if not tree.step:
        yield f"{indent}aggregate {tree.origin.hex()}: {certainty_text(tree.certainty)}"
        return
    yield f"{indent}{_aggregate_title(tree)}"
    inner = indent + _INDENT
    if tree.path:
        yield f"{inner}{_path(tree.path)}"
    if tree.certainty.kind != COMPLETE:
        yield f"{inner}{certainty_text(tree.certainty)}"
    if tree.note:
        yield f"{inner}{click.style(clean(tree.note), fg='yellow')}"
    if told := sources_text(tree):
        yield f"{inner}{told}"
    yield from _contributors(tree, inner)


def _contributors(tree: FromAggregate, indent: str) -> Iterator[str]:
    path: tuple[PathPart, ...] = ()
    for one in tree.contributors:
        if isinstance(one, FromSource):
            if one.path and one.path != path:
                yield f"{indent}{_path(one.path)}"
            path = one.path
            yield from _source(one, indent + _INDENT)
        else:
            yield from _made_of(one, indent + _INDENT)
    if tree.left_out > 0:
        yield f"{indent}{_INDENT}and {tree.left_out:,} more (--all shows all that were kept)"


def _aggregate_title(tree: FromAggregate) -> str:
    return f"{click.style(clean(tree.step), bold=True)}{elements_text(tree)}"


def _source(source: FromSource, indent: str) -> Iterator[str]:
    if source.partition is None:
        yield f"{indent}origin {source.origin.hex()}: {click.style(clean(source.record.note), fg='red')}"
        return
    yield f"{indent}{_place(source.partition, source.position, source.record)}"
    yield from _record_lines(source.record, indent + _INDENT)


def _record_lines(record: SourceRecord, indent: str) -> Iterator[str]:
    if record.text is not None:
        yield f"{indent}{clean(record.text)}"
    if record.note:
        color = "red" if record.state in (CHANGED, GONE) else "yellow"
        yield f"{indent}{click.style(clean(record.note), fg=color)}"


def _place(partition: SourcePartition, position: int | None, record: SourceRecord | None) -> str:
    place = source_place_text(partition, position, record)
    if record is None:
        return place
    color = "green" if record.state == VERIFIED else "red" if record.state in (CHANGED, GONE) else "yellow"
    return f"{place}  {click.style(record.state, fg=color)}"


def _path(path: Sequence[PathPart]) -> str:
    return click.style(path_text(path), dim=True)


# Forward.


def _into(into: Into, indent: str) -> Iterator[str]:
    inner = indent + _INDENT
    for one in into.written:
        yield from _written(one, indent)
    for letter in into.dead_letters:
        refused = click.style("refused", fg="red")
        yield f"{indent}{refused} by {clean(letter.stage)}: {clean(letter.error_type)}"
        yield f"{inner}{clean(letter.error_message)}"
        yield f"{inner}dead letter {letter.id}{kept_text(letter)}"
    for label in into.filtered:
        yield f"{indent}{click.style('filtered', fg='yellow')} by {clean(label)}"
    for late in into.dropped:
        window = f", for window {clean(late.window)}" if late.window else ""
        yield f"{indent}{click.style('dropped as late', fg='yellow')} by {clean(late.step)}{window}"
    for aggregate in into.aggregates:
        step = click.style(clean(aggregate.step), bold=True)
        yield f"{indent}{how_in_text(aggregate)} {step}{in_text(aggregate)}: {aggregate.origin.hex()}"
        yield from _into(aggregate, inner)
    for maybe in into.may_be_in[:_MAY_BE_SHOWN]:
        may_be = click.style("may be", fg="yellow")
        yield f"{indent}{may_be} {may_be_text(maybe)}: {maybe.origin.hex()}"
    if len(into.may_be_in) > _MAY_BE_SHOWN:
        yield f"{indent}and {len(into.may_be_in) - _MAY_BE_SHOWN:,} more that it may be in (--json tells all)"
    if into.end and not into.filtered and not into.dropped:
        yield f"{indent}{click.style(clean(into.end), fg='yellow')}"
    if into.certainty.kind != COMPLETE and indent:
        yield f"{indent}{certainty_text(into.certainty)}"


def _written(written: Written, indent: str) -> Iterator[str]:
    how = click.style("ended" if written.is_end else "written", fg="green")
    yield f"{indent}{how} {written_text(written)}"
    if not written.is_end:
        yield from (f"{indent}{_INDENT}{clean(shown_uri(place))}" for place in written.places)
