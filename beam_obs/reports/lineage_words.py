"""What is said of the parts of an answer about lineage, without colours: by commands and on pages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_obs.records.lineage_rows import BUNDLE, STATE
from beam_obs.records.number_text import counted
from beam_obs.records.wording import clean
from beam_obs.store.source_partition import SourcePartition

if TYPE_CHECKING:  # the report of a run has some of these words, and no answers
    from beam_obs.lineage.answers import FromAggregate, Into, MayBeIn, Refused, Written
    from beam_obs.lineage.source_records import SourceRecord
    from beam_obs.lineage.step_graph import PathPart

_SOURCES_SHOWN = 8


def shown_uri(uri: str) -> str:
    """Returns a file's name as a person would write it: relative where it lies below the working folder."""
    if not os.path.isabs(uri):
        return uri
    below = os.path.relpath(uri)
    return uri if below.startswith(os.pardir) else below


def source_place_text(partition: SourcePartition, position: int | None, record: SourceRecord | None) -> str:
    """Returns where a source record is: file, line where it is known, and position."""
    name = clean(shown_uri(partition.uri or partition.name))
    line = f":{record.line}" if record is not None and record.line is not None else ""
    return f"{name}{line}{f' @{position}' if position is not None else ''}"


def path_text(path: Sequence[PathPart]) -> str:
    """Returns the steps that something passed."""
    return "by " + clean(" > ".join(part.text for part in path))


# Backward.


def elements_text(tree: FromAggregate) -> str:
    """Returns what an aggregate is of, and how much: what stands behind the label of its step."""
    key = f" key {clean(tree.key)}" if tree.key else ""
    pane = f", pane {tree.pane}" if tree.pane else ""
    what = "" if tree.kind == "aggregate" else f" ({tree.kind})"
    unknown = f", {tree.unknown:,} of unknown origin" if tree.unknown else ""
    made_of = f"made of {counted(tree.count, 'element')}{unknown}"
    return f"{what}{key}{_window_text(tree.window)}{pane}: {made_of}"


def sources_text(tree: FromAggregate) -> str:
    """Returns the sources of an aggregate, those of most contributors first; empty where none is known."""
    if not tree.sources:
        return ""
    most = sorted(tree.sources, key=lambda one: -one.contributors)
    told = [f"{clean(shown_uri(one.name))} ({one.contributors:,})" for one in most[:_SOURCES_SHOWN]]
    if len(most) > _SOURCES_SHOWN or tree.more_sources:
        more = max(0, len(most) - _SOURCES_SHOWN)
        told.append(f"and {more:,}{' or' if tree.more_sources else ''} more")
    return f"sources: {', '.join(told)}"


# Forward.


def how_in_text(aggregate: Into) -> str:
    """Returns how something is in an aggregate."""
    return "may have contributed to" if aggregate.kind in (STATE, BUNDLE) else "in"


def in_text(aggregate: Into) -> str:
    """Returns what an aggregate is of: what stands behind the label of its step."""
    key = f" key {clean(aggregate.key)}" if aggregate.key else ""
    return f"{key}{_window_text(aggregate.window)}, of {counted(aggregate.count, 'element')}"


def may_be_text(maybe: MayBeIn) -> str:
    """Returns what an aggregate is of that keeps a sample: what stands behind "may be"."""
    key = f" key {clean(maybe.key)}" if maybe.key else ""
    elements = counted(maybe.count, "element")
    return f"in {clean(maybe.step)}{key}, of {elements}, of which {maybe.rate:.1%} are named"


def kept_text(letter: Refused) -> str:
    """Returns why a dead letter does not count; empty where it does."""
    if letter.superseded:
        return " (superseded: the engine started the job again)"
    return "" if letter.committed else " (uncommitted: its bundle failed or was tried again)"


def written_text(written: Written) -> str:
    """Returns where records went: what stands behind "written" or "ended"."""
    times = f" ({counted(len(written.digests), 'different record')})" if len(written.digests) > 1 else ""
    if written.is_end:
        return f"in {clean(written.sink)}, which gives nothing further{times}"
    where = f": {clean(shown_uri(written.uri))}" if written.uri else ""
    return f"by {clean(written.sink)}{where}{times}"


def _window_text(window: str) -> str:
    return f", window {clean(window)}" if window and window != "GlobalWindow" else ""
