"""The weave: a finished pipeline's portable form, rewritten so that each record carries its origin.

User code sees the values it always saw. A step that cannot be woven runs as it is, and what it gives
has no origin; the report names it. Results never change.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.records.weave_report import NotWoven, WeaveReport, failed
from beam_obs.weaving import aggregates, outputs, steps, units
from beam_obs.weaving.edge_check import MiswovenEdge, check_edges
from beam_obs.weaving.frames import is_frame_read, weave_frame_read
from beam_obs.weaving.instrument_outputs import keep_instruments
from beam_obs.weaving.ledger_edges import note_ledger
from beam_obs.weaving.located_reads import is_range_read, weave_located_read, weave_range_read
from beam_obs.weaving.settings import WEAVE_VERSION, WeaveSettings
from beam_obs.weaving.shown_sources import find_shown_sources
from beam_obs.weaving.side_reads import find_side_reads
from beam_obs.weaving.single_ways import find_single_ways
from beam_obs.weaving.span_ways import met_roots, note_span_givers
from beam_obs.weaving.units import Unit
from beam_obs.weaving.weave_state import WeaveState
from beam_obs.weaving.writer import write_rows

_MOST_LEFT = 32
"""Units at which a weave may fail before the whole pipeline is left as it is: each costs a weave."""
_WOVEN = "beam_obs_woven"
_NOTHING: Mapping[str, str] = {}
_LOGGER = logging.getLogger(__name__)


class Woven(NamedTuple):
    """A woven pipeline.

    Args:
      proto: the pipeline.
      report: what became of each step.
    """

    proto: api.Pipeline
    report: WeaveReport


def is_woven(proto: api.Pipeline) -> bool:
    """Returns whether a pipeline is one that `weave` gave, or a part of one.

    To weave it again would take the provenances for the user's values.
    """
    return any(_WOVEN in node.annotations for node in proto.components.transforms.values())


def weave(proto: api.Pipeline, settings: WeaveSettings | None = None) -> Woven:
    """Returns the woven form of a pipeline.

    Args:
      proto: the pipeline, with its real coders; it is not changed.
      settings: how to weave.

    Raises:
      NotWoven: the settings are strict, and some steps cannot be woven.
      MiswovenEdge: the weave made an error that no unit of the pipeline answers for.
    """
    chosen = settings or WeaveSettings()
    if chosen.carries_origins:
        weave = _weave_all_that_can_be(proto, chosen)
        _complete(weave)
    else:
        weave = WeaveState(_copy(proto), chosen)
    if chosen.strict and weave.report.opaque:
        raise NotWoven(weave.report.opaque)
    keeping = keep_instruments(weave) if chosen.keeps_instruments and chosen.evidence is not None else []
    if chosen.evidence is not None:
        write_rows(weave, chosen.evidence, chosen.shuffles_manifests, chosen.gathers_rows)
    for name in (*weave.says, *keeping):
        weave.graph.node(name).annotations[_WOVEN] = str(WEAVE_VERSION).encode()
    return Woven(weave.graph.proto, weave.report)


def _weave_all_that_can_be(proto: api.Pipeline, settings: WeaveSettings) -> WeaveState:
    """Returns a weave in which each unit at which it fails is left as it is.

    A unit that failed may have changed anything: the weave begins anew, with one unit more to leave.
    """
    left: dict[str, str] = {}
    while True:
        try:
            return weave_units(proto, settings, left)
        except _UnitFailed as found:
            error, at_fault = found.error, [found.unit]
        except MiswovenEdge as wrong:
            error, at_fault = wrong, list(wrong.units)
        node = next((unit.node for unit in at_fault if unit.node not in left), None)
        if node is None or len(left) == _MOST_LEFT:
            raise error
        left[node] = failed(error)
        label = proto.components.transforms[node].unique_name
        _LOGGER.warning("%r carries no lineage: %s", label, left[node], exc_info=error)


def weave_units(
    proto: api.Pipeline, settings: WeaveSettings, left: Mapping[str, str] = _NOTHING
) -> WeaveState:
    """Returns a weave whose units are woven and whose edges are checked.

    Args:
      proto: the pipeline; it is not changed.
      settings: how to weave.
      left: by id, the units that are left as they are, and why.

    Raises:
      MiswovenEdge: an edge does not carry what its ends say.
    """
    weave = WeaveState(_copy(proto), settings, left)
    weave.report.single_ways = find_single_ways(weave)
    weave.shown_sources = find_shown_sources(weave)
    weave.report.side_reads = find_side_reads(weave)
    units.make_generic(weave.graph)
    if settings.traces is not None:
        weave.met_roots = met_roots(weave.graph, weave.units)
    for unit in weave.units:
        with _answering(unit):
            if settings.traces is not None:
                is_step = unit.kind == units.PAR_DO
                reads_files = is_step and is_range_read(weave, unit.node)
                note_span_givers(weave, unit, reads_files, is_step and is_frame_read(weave, unit.node))
            if unit.node in left:
                steps.leave_as_it_is(weave, unit.node, left[unit.node])
            else:
                _weave_unit(weave, unit)
    for unit in weave.units:
        with _answering(unit):
            outputs.index_end(weave, unit)
    note_ledger(weave)
    check_edges(weave)
    return weave


def _copy(proto: api.Pipeline) -> api.Pipeline:
    copied = api.Pipeline()
    copied.CopyFrom(proto)
    return copied


class _UnitFailed(Exception):
    def __init__(self, unit: Unit, error: Exception) -> None:
        super().__init__(unit, error)
        self.unit = unit
        self.error = error


@contextlib.contextmanager
def _answering(unit: Unit) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _UnitFailed(unit, error) from error


def _complete(weave: WeaveState) -> None:
    """Fills in what the report says of the weave as a whole."""
    report, settings = weave.report, weave.settings
    report.limit = settings.limit
    if settings.evidence is not None:
        report.output_share, report.filtered_share = settings.output_share, settings.filtered_share
    labels = {source.label for source in report.sources}
    kinds = {
        node.unique_name: weave.graph.python_type(node_id)
        for node_id, node in weave.graph.parts.transforms.items()
        if node.unique_name in labels
    }
    report.sources[:] = [
        dataclasses.replace(source, kind=kinds.get(source.label, "").rsplit(".", 1)[-1])
        for source in report.sources
    ]


def _weave_unit(weave: WeaveState, unit: Unit) -> None:
    if unit.kind in units.RESHUFFLES:
        aggregates.weave_reshuffle(weave, unit)
    elif unit.kind == units.UNKNOWN_STEP:
        urn = weave.graph.node(unit.node).spec.urn
        steps.leave_as_it_is(weave, unit.node, f"what it does is not known ({urn or 'no name'})")
    elif unit.kind == units.PAR_DO and is_range_read(weave, unit.node):
        weave_range_read(weave, unit.node)
    elif unit.kind == units.PAR_DO and is_frame_read(weave, unit.node):
        weave_frame_read(weave, unit.node)
    elif unit.kind in _RULES:
        _RULES[unit.kind](weave, unit.node)


_RULES: dict[str, Callable[[WeaveState, str], None]] = {
    units.IMPULSE: steps.weave_impulse,
    units.BEGINNING: steps.weave_beginning,
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
