"""Runs that are traced, in this process, and the spans that they left in their stores."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.records.span_rows import SpanRow, spans_of_file


def run_traced(
    folder: pathlib.Path, build: Callable[[beam.Pipeline], Any], *arguments: str, runner: Any = "FnApiRunner"
) -> list[SpanRow]:
    """Runs a pipeline and returns the spans that are in its store, those of records only.

    Args:
      folder: the store.
      build: builds it.
      arguments: as on the command line, ``--obs_trace_share=1`` where there are none.
      runner: by name, or the runner itself.
    """
    named = [f"--runner={runner}"] if isinstance(runner, str) else []
    options = PipelineOptions(
        [*(arguments or ("--obs_trace_share=1",)), "--obs_report=off", f"--obs_store={folder}", *named]
    )
    pipeline = obs.Pipeline(None if named else runner, options=options, name="traced")
    with pipeline as p:
        build(p)
    return spans_in(folder)


def spans_in(folder: pathlib.Path) -> list[SpanRow]:
    """Returns the spans of records in a store, in the order in which they began."""
    return [one for one in all_spans_in(folder) if "beam.origin" in one.attributes]


def all_spans_in(folder: pathlib.Path) -> list[SpanRow]:
    """Returns the spans in a store, in the order in which they began."""
    found: list[SpanRow] = []
    for file in folder.glob("runs/*/*/traces-*.jsonl"):
        spans, unread = spans_of_file(file.read_bytes())
        assert unread == 0
        found += spans
    return sorted(found, key=lambda one: one.start)


def named(spans: list[SpanRow], name: str) -> list[SpanRow]:
    """Returns the spans of a step."""
    return [span for span in spans if span.name == name]


def parent_of(spans: list[SpanRow], span: SpanRow) -> SpanRow | None:
    """Returns the span that another is a child of; None where it is the first of its trace."""
    if not span.parent_id:
        return None
    (parent,) = {one.name: one for one in spans if one.span_id == span.parent_id}.values()
    assert parent.trace_id == span.trace_id
    return parent


def way_to(spans: list[SpanRow], span: SpanRow) -> list[str]:
    """Returns the names of the spans from the first of a trace to one."""
    above = parent_of(spans, span)
    return [*(way_to(spans, above) if above is not None else []), span.name]
