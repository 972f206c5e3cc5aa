"""The weave: a finished pipeline's portable form, rewritten so that each record carries its origin.

User code sees the values it always saw. A step that cannot be woven runs as it is, and what it gives
has no origin; the report names it. Results never change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.weaving import aggregates, outputs, steps, units
from beam_obs.weaving.check import check_edges
from beam_obs.weaving.located_reads import is_range_read, weave_located_read, weave_range_read
from beam_obs.weaving.loom import Loom
from beam_obs.weaving.report import NotWoven, WeaveReport
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.weaving.single_ways import find_single_ways
from beam_obs.weaving.units import Unit
from beam_obs.weaving.writer import write_rows

WEAVE_VERSION = 2
"""Changes when the woven form of the same pipeline changes: a running job cannot be updated across it."""


class Woven(NamedTuple):
    """A woven pipeline.

    Args:
      proto: the pipeline.
      report: what became of each step.
    """

    proto: api.Pipeline
    report: WeaveReport


def weave(proto: api.Pipeline, settings: WeaveSettings | None = None) -> Woven:
    """Returns the woven form of a pipeline.

    Args:
      proto: the pipeline, with its real coders; it is not changed.
      settings: how to weave.

    Raises:
      NotWoven: the settings are strict, and some steps cannot be woven.
      MiswovenEdge: the weave made an error; the pipeline must not be run.
    """
    chosen = settings or WeaveSettings()
    woven = api.Pipeline()
    woven.CopyFrom(proto)
    loom = Loom(woven, chosen)
    loom.report.single_ways = find_single_ways(loom)
    units.make_generic(loom.graph)
    for unit in loom.units:
        _weave_unit(loom, unit)
    outputs.index_ends(loom)
    _complete(loom)
    if chosen.strict and loom.report.opaque:
        raise NotWoven(loom.report.opaque)
    check_edges(loom)
    if chosen.evidence is not None:
        write_rows(loom, chosen.evidence, chosen.shuffles_manifests)
    return Woven(woven, loom.report)


def _complete(loom: Loom) -> None:
    """Fills in what the report says of the weave as a whole."""
    report, settings = loom.report, loom.settings
    report.limit = settings.limit
    if settings.evidence is not None:
        report.output_share, report.filtered_share = settings.output_share, settings.filtered_share
    labels = {source.label for source in report.sources}
    kinds = {
        node.unique_name: loom.graph.python_type(node_id)
        for node_id, node in loom.graph.parts.transforms.items()
        if node.unique_name in labels
    }
    report.sources[:] = [
        dataclasses.replace(source, kind=kinds.get(source.label, "").rsplit(".", 1)[-1])
        for source in report.sources
    ]


def _weave_unit(loom: Loom, unit: Unit) -> None:
    if unit.kind in (units.RESHUFFLE, units.RESHUFFLE_PER_KEY):
        aggregates.weave_reshuffle(loom, unit)
    elif unit.kind == units.UNKNOWN_STEP:
        urn = loom.graph.node(unit.node).spec.urn
        steps.leave_as_it_is(loom, unit.node, f"what it does is not known ({urn or 'no name'})")
    elif unit.kind == units.PAR_DO and is_range_read(loom, unit.node):
        weave_range_read(loom, unit.node)
    elif unit.kind in _RULES:
        _RULES[unit.kind](loom, unit.node)


_RULES: dict[str, Callable[[Loom, str], None]] = {
    units.IMPULSE: steps.weave_impulse,
    units.PAR_DO: steps.weave_par_do,
    units.FLATTEN: steps.weave_flatten,
    units.WINDOW: steps.weave_window,
    units.SOURCE: steps.weave_source,
    units.SINK: outputs.weave_sink,
    units.OURS: outputs.pass_evidence,
    units.LOCATED_READ: weave_located_read,
    units.GROUP: aggregates.weave_group,
    units.COMBINE: aggregates.weave_combine,
    units.COMBINE_BY_HAND: aggregates.weave_combine_by_hand,
}
