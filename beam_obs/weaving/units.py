"""The units of a pipeline that are woven each in one way: a leaf, or a composite that works as a whole.

Composites of the user are entered. Those of Beam that a runner or the weave knows by name are units:
aggregates, reshuffles, sources and sinks.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from apache_beam.internal import pickler
from apache_beam.io.filebasedsource import FileBasedSource
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.weaving.portable_graph import PAR_DO_URN, PortableGraph
from beam_obs.wrapper.role import BEGINS_READ, KEEPING, TELLS_LATE, WRITES_FILES

PAR_DO = "ParDo"
IMPULSE = "Impulse"
BEGINNING = "beginning of a read"
FLATTEN = "Flatten"
WINDOW = "WindowInto"
GROUP = "GroupByKey"
COMBINE = "CombinePerKey"
COMBINE_BY_HAND = "LiftedCombinePerKey"
RESHUFFLE = "Reshuffle"
RESHUFFLE_PER_KEY = "ReshufflePerKey"
TELL_LATE = "tell late"
RESHUFFLES = frozenset({RESHUFFLE, RESHUFFLE_PER_KEY, TELL_LATE})
"""What moves elements as they are."""
SOURCE = "source"
LOCATED_READ = "located read"
SINK = "sink"
OURS = "beam_obs"
UNKNOWN_STEP = "unknown"
NOTHING = "nothing"

_LEAVES = {
    PAR_DO_URN: PAR_DO,
    common_urns.primitives.IMPULSE.urn: IMPULSE,
    common_urns.primitives.FLATTEN.urn: FLATTEN,
    common_urns.primitives.ASSIGN_WINDOWS.urn: WINDOW,
    common_urns.primitives.GROUP_BY_KEY.urn: GROUP,
}
_COMPOSITES = {
    common_urns.composites.RESHUFFLE.urn: RESHUFFLE,
    common_urns.composites.COMBINE_PER_KEY.urn: COMBINE,
}
KNOWN_TO_RUNNERS = frozenset(_COMPOSITES)
"""Composites in whose place a runner may put a step of its own."""
_TYPES = {
    "apache_beam.transforms.util.ReshufflePerKey": RESHUFFLE_PER_KEY,
    "apache_beam.transforms.combiners.LiftedCombinePerKey": COMBINE_BY_HAND,
}
_SOURCES = (
    "apache_beam.io.",
    "apache_beam.transforms.periodicsequence.",
    "apache_beam.testing.synthetic_pipeline.",
)
_WRITES_OF_FRAMES = frozenset(
    {"apache_beam.dataframe.io.WriteViaPandas", "apache_beam.dataframe.io._WriteToPandas"}
)
_CREATE = "apache_beam.transforms.core.Create"
_GIVEN_A_NAME = "apache_beam.transforms.ptransform."
WITH_TAGS = "apache_beam.transforms.core._MultiParDo"
_OF_USERS = (_GIVEN_A_NAME, _CREATE, WITH_TAGS, "apache_beam.yaml.")
"""Composites of Beam's around what the user gave."""
OF_ONE_PAR_DO = frozenset({WITH_TAGS, "apache_beam.transforms.core.CombineValues"})
"""Composites of one ParDo each, which people know by the composite's label."""
_GROUP_URN = common_urns.primitives.GROUP_BY_KEY.urn
_COMBINE_GROUPS_URN = common_urns.combine_components.COMBINE_GROUPED_VALUES.urn
GROUP_INTO_BATCHES = "apache_beam.transforms.util.GroupIntoBatches"
HOT_KEYS = "apache_beam.transforms.core._CombinePerKeyWithHotKeyFanout"


@dataclasses.dataclass(frozen=True)
class Unit:
    """A part of a pipeline that is woven in one way.

    Args:
      node: id of the step.
      kind: one of the names above.
    """

    node: str
    kind: str


def find_units(graph: PortableGraph) -> list[Unit]:
    """Returns the units of a pipeline, those that make before those that take."""
    found: list[Unit] = []

    def walk(node_id: str) -> None:
        kind = _kind(graph, node_id)
        if kind is not None:
            found.append(Unit(node_id, kind))
            return
        for child in graph.node(node_id).subtransforms:
            walk(child)

    for root in graph.proto.root_transform_ids:
        walk(root)
    return _in_order(graph, found)


def is_internal(graph: PortableGraph, node_id: str) -> bool:
    """Returns whether a step is in a composite of Beam's own, so that what it starts from is no source."""
    return any(is_of_beam(graph.python_type(above)) for above in graph.ancestors(node_id))


def is_of_beam(name: str) -> bool:
    """Returns whether a class is a composite of Beam's own, inside of which nothing is the user's.

    >>> is_of_beam("apache_beam.transforms.combiners.Top"), is_of_beam("apache_beam.yaml.x.Chain")
    (True, False)
    """
    return name.startswith("apache_beam.") and not name.startswith(_OF_USERS)


def source_label(graph: PortableGraph, node_id: str) -> str:
    """Returns the name of a source: that of the Create around a step, where there is one."""
    for above in graph.ancestors(node_id):
        if graph.python_type(above) == _CREATE:
            return str(graph.node(above).unique_name)
    return str(graph.node(node_id).unique_name)


def feeds_hot_keys(graph: PortableGraph, node_id: str, output: str) -> bool:
    """Returns whether an aggregate is the first half of one with hot-key fanout: the other is behind it."""
    hot = next((above for above in graph.ancestors(node_id) if graph.python_type(above) == HOT_KEYS), None)
    inside = set() if hot is None else set(graph.leaves(hot))
    todo = [output]
    while todo:
        for leaf in inside.intersection(graph.consumers.get(todo.pop(), ())):
            if graph.node(leaf).spec.urn == _GROUP_URN:
                return True
            inside.remove(leaf)
            todo.extend(graph.node(leaf).outputs.values())
    return False


def _kind(graph: PortableGraph, node_id: str) -> str | None:
    node = graph.node(node_id)
    name = graph.python_type(node_id)
    if graph.role(node_id) in KEEPING:
        return OURS
    if graph.role(node_id) == TELLS_LATE:
        return TELL_LATE
    if graph.role(node_id) == BEGINS_READ:
        return BEGINNING
    if graph.role(node_id) == WRITES_FILES:
        return SINK
    if not node.subtransforms:
        if node.spec.urn in _LEAVES:
            return _LEAVES[node.spec.urn]
        if node_id not in graph.parents and not node.spec.urn:
            return NOTHING
        if set(node.outputs.values()) <= set(node.inputs.values()):
            return NOTHING if node.outputs or not node.inputs else SINK
        return UNKNOWN_STEP if node.inputs else SOURCE
    if is_located_read(graph, node_id):
        return LOCATED_READ
    if node.spec.urn in _COMPOSITES:
        return _COMPOSITES[node.spec.urn]
    if name in _TYPES:
        return _TYPES[name]
    if name in _WRITES_OF_FRAMES:
        return SINK
    if node_id in graph.parents and name.startswith(_SOURCES):
        takes = graph.taken_from_outside(node_id)
        if not takes and node.outputs:
            return None if _has_located_read(graph, node_id) else SOURCE
        if takes and "Write" in name.rsplit(".", 1)[-1]:
            return SINK
    return None


def is_located_read(graph: PortableGraph, node_id: str) -> bool:
    """Returns whether a step is Beam's read of files, whose records have places in them."""
    return isinstance(source_of_read(graph, node_id), FileBasedSource)


def source_of_read(graph: PortableGraph, node_id: str) -> Any:
    """Returns the source of a step that is Beam's read; None for any other, or where it cannot be had."""
    node = graph.node(node_id)
    if node.spec.urn != common_urns.deprecated_primitives.READ.urn or not node.subtransforms:
        return None
    payload = api.ReadPayload.FromString(node.spec.payload)
    return _source(payload.source.payload) if payload.source.urn == python_urns.PICKLED_SOURCE else None


@functools.lru_cache(maxsize=256)
def _source(pickled: bytes) -> Any:
    try:
        return pickler.loads(pickled)
    except Exception:
        return None


def _has_located_read(graph: PortableGraph, node_id: str) -> bool:
    return any(is_located_read(graph, found) for found in graph.subtree(node_id))


def _in_order(graph: PortableGraph, units: list[Unit]) -> list[Unit]:
    """Sorts units so that each comes after those that it takes from."""
    unit_of = {leaf: unit for unit in units for leaf in graph.leaves(unit.node)}
    done: set[str] = set()
    ordered: list[Unit] = []

    def add(start: Unit) -> None:
        stack = [(start, False)]
        while stack:
            unit, is_ready = stack.pop()
            if is_ready:
                ordered.append(unit)
                continue
            if unit.node in done:
                continue
            done.add(unit.node)
            stack.append((unit, True))
            for pcoll in graph.taken_from_outside(unit.node):
                producer = graph.producers.get(pcoll)
                if producer is not None and producer in unit_of:
                    stack.append((unit_of[producer], False))

    for unit in units:
        add(unit)
    return ordered


def make_generic(graph: PortableGraph) -> None:
    """Takes the names from composites that some runners replace by what expects plain elements.

    A CombineValues is one where it is woven by its ParDo: not inside of an aggregate, which is woven whole.
    """
    for node_id in graph.order:
        spec = graph.node(node_id).spec
        if spec.urn in _REPLACED_BY_RUNNERS or (
            spec.urn == _COMBINE_GROUPS_URN
            and not any(graph.node(above).spec.urn in _COMPOSITES for above in graph.ancestors(node_id))
        ):
            spec.Clear()
            spec.urn = python_urns.GENERIC_COMPOSITE_TRANSFORM


_REPLACED_BY_RUNNERS = frozenset(
    {
        common_urns.group_into_batches_components.GROUP_INTO_BATCHES.urn,
        common_urns.composites.GROUP_INTO_BATCHES_WITH_SHARDED_KEY.urn,
        common_urns.composites.COMBINE_GLOBALLY.urn,
    }
)
