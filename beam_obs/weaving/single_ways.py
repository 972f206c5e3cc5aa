"""Which steps a source record can come by once at most: what follows from one place rules out others.

An aggregate of many keeps a sample of its contributors. Of a record that came to it by one way, through
steps that give one output at most, a place in one group says that it is in no other. This is known before
the pipeline is run, from its graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from apache_beam.internal import pickler
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.transforms.trigger import DefaultTrigger
from apache_beam.utils import proto_utils

from beam_obs.beam_private import ParquetSource
from beam_obs.weaving import units
from beam_obs.weaving.located_reads import label_of_read
from beam_obs.weaving.steps import label_of_source
from beam_obs.weaving.units import Unit, is_internal
from beam_obs.weaving.weave_state import WeaveState
from beam_obs.wrapper.stand_in_dofn import innermost
from beam_obs.wrapper.user_callable import FILTER, MAP, MAP_TUPLE, user_callable

_ONE_AT_MOST = frozenset({MAP, MAP_TUPLE, FILTER})
_ONE_WINDOW = frozenset(
    {
        common_urns.global_windows.urn,
        common_urns.fixed_windows.urn,
        common_urns.session_windows.urn,
    }
)


def find_single_ways(weave: WeaveState) -> dict[str, list[str]]:
    """Returns, by label of a step, the sources each record of which comes to it once at most.

    Args:
      weave: the weave, before anything is woven.
    """
    walk = _Walk(weave)
    for unit in weave.units:
        with contextlib.suppress(Exception):  # what is not known rules nothing out
            walk.take(unit)
    return {label: sorted(sources) for label, sources in walk.found.items() if sources}


class _Walk:
    """A walk over the units of a pipeline, those that make before those that take."""

    def __init__(self, weave: WeaveState) -> None:
        self.found: dict[str, frozenset[str]] = {}
        self._weave = weave
        self._sources: dict[str, frozenset[str]] = {}
        self._seeds: set[str] = set()

    def take(self, unit: Unit) -> None:
        """Notes what comes out of a unit."""
        graph = self._weave.graph
        given = graph.given_outside(unit.node)
        if unit.kind in (units.IMPULSE, units.BEGINNING):
            self._seeds.update(given)
        elif unit.kind == units.LOCATED_READ:
            if not _gives_groups_of_rows(graph.node(unit.node)):
                self._give(given, {label_of_read(self._weave, unit.node)})
        elif unit.kind == units.PAR_DO:
            self._par_do(unit.node, given)
        elif unit.kind == units.FLATTEN:
            self._give(given, self._flattened(graph.node(unit.node).inputs.values()))
        elif unit.kind == units.WINDOW:
            strategy = proto_utils.parse_Bytes(graph.node(unit.node).spec.payload, api.WindowingStrategy)
            if strategy.window_fn.urn in _ONE_WINDOW:
                self._give(given, self._flattened(graph.node(unit.node).inputs.values()))
        elif unit.kind in units.RESHUFFLES:
            self._give(given, self._flattened(graph.taken_from_outside(unit.node)))
        elif unit.kind in (units.GROUP, units.COMBINE, units.COMBINE_BY_HAND):
            self._aggregate(unit.node, given)

    def _par_do(self, node_id: str, given: list[str]) -> None:
        weave = self._weave
        node, facts = weave.graph.node(node_id), weave.facts(node_id)
        beside = set(facts.payload.side_inputs)
        (main,) = [pcoll for tag, pcoll in node.inputs.items() if tag not in beside]
        if main in self._seeds:
            if facts.passes_seeds:
                self._seeds.update(given)
            elif not facts.is_splittable and not is_internal(weave.graph, node_id):
                self._give(given, {label_of_source(weave, node_id, facts)})
            return
        sources = self._sources.get(main, frozenset())
        is_one = facts.payload.do_fn.urn == python_urns.KEY_WITH_NONE_DOFN or facts.combines_groups
        if is_one or (facts.obstacle is None and user_callable(innermost(facts.dofn)).kind in _ONE_AT_MOST):
            self._give(given, sources)
            self.found[weave.shown_label(node_id)] = sources

    def _aggregate(self, node_id: str, given: list[str]) -> None:
        weave = self._weave
        sources = self._flattened(weave.graph.taken_from_outside(node_id))
        self.found[weave.label(node_id)] = sources
        for pcoll in given:
            windowing = weave.windowing(pcoll)
            # A group of one keeps its element's origin. Other triggers may fire twice for it.
            if isinstance(windowing.triggerfn, DefaultTrigger) and windowing.allowed_lateness == 0:
                self._give([pcoll], sources)

    def _flattened(self, taken: Iterable[str]) -> frozenset[str]:
        """Returns the sources of several PCollections, without those that come by two of them."""
        once: set[str] = set()
        twice: set[str] = set()
        for pcoll in taken:
            sources = self._sources.get(pcoll, frozenset())
            twice |= once & sources
            once |= sources
        return frozenset(once - twice)

    def _give(self, given: Iterable[str], sources: Iterable[str]) -> None:
        for pcoll in given:
            self._sources[pcoll] = frozenset(sources)


def _gives_groups_of_rows(node: api.PTransform) -> bool:
    """Returns whether the records of a read have the origin of their row group."""
    payload = api.ReadPayload.FromString(node.spec.payload)
    return isinstance(pickler.loads(payload.source.payload), ParquetSource)
