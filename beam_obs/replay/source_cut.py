"""A portable pipeline cut from a step on: its sources give some of their records, and of all that they feed
what leads to the step, the step, and what is behind it is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from apache_beam.internal import pickler
from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.errors import BeamObsError
from beam_obs.records.replayed import records_label
from beam_obs.records.wanted_places import WantedPlaces
from beam_obs.replay.pipeline_cut import MAIN, Cut, Flow, downstream, main_inputs, prune
from beam_obs.replay.wanted_records import KeepWanted
from beam_obs.store.unknown_name import UnknownName
from beam_obs.weaving.par_do import facts_of
from beam_obs.weaving.portable_graph import PAR_DO_URN, PortableGraph
from beam_obs.weaving.weave_state import par_do_spec
from beam_obs.wrapper.refusal import DEAD_TAG, EVIDENCE_TAG

_NO_RECORDS = (DEAD_TAG, EVIDENCE_TAG)


class NotBehind(BeamObsError):
    """A step takes nothing of what the records that are asked for become.

    Args:
      step: its label.
      sources: of the steps that read them.
    """

    def __init__(self, step: str, sources: Collection[str]) -> None:
        super().__init__(
            f"no record of {_quoted(sources)} comes to {step!r}, but perhaps as a side input: give a step "
            "behind it"
        )


class NeverEnds(BeamObsError):
    """A source goes on for ever, and so would a replay.

    Args:
      source: label of the step that reads it.
    """

    def __init__(self, source: str) -> None:
        super().__init__(
            f"{source!r} never ends, and a replay of some of its records would not end either: give the "
            "program arguments with which it reads files that are there"
        )


class OfAPart(BeamObsError):
    """Steps make results of many records, of which a replay has only some.

    Args:
      before: labels of those between the sources and the step from which records are replayed.
      cut: what stays of the pipeline.
      step: the step.
    """

    def __init__(self, step: str, before: Collection[str], cut: Cut) -> None:
        behind = sorted(set(cut.aggregates) - set(before))
        told = [
            *([f"the results of {_quoted(before)}, which {step!r} is behind,"] if before else []),
            *([f"the results of {_quoted(behind)}"] if behind else []),
            *([f"the side inputs of {_quoted(cut.side_readers)}"] if cut.side_readers else []),
        ]
        super().__init__(
            f"{' and '.join(told)} would be of the replayed records alone, and not what they were. Nothing "
            "is replayed: give --partial-results if that is what you want, or run the pipeline over all of "
            "their records"
        )


def cut_from(
    proto: api.Pipeline,
    step: str,
    sources: Collection[str],
    wanted: tuple[WantedPlaces, ...],
    may_be_partial: bool,
) -> Cut:
    """Returns a pipeline without what neither leads from sources to a step nor is behind it.

    Args:
      proto: the pipeline, with stand-ins for coders, as Beam reads it back; it is changed in place.
      step: label of the step, which may be one of the sources.
      sources: labels of the steps that read.
      wanted: the records that they give.
      may_be_partial: whether results of many records may be of these alone.

    Raises:
      UnknownName: there is no such step, or source.
      NotBehind: the step takes nothing of the sources.
      NeverEnds: a source never ends.
      OfAPart: it may not be.
    """
    graph = PortableGraph(proto)
    labels = {str(graph.node(node).unique_name): node for node in graph.order}
    for name in (step, *sources):
        if name not in labels:
            what = "step" if name == step else "step that read them in that run, of the name"
            raise UnknownName(f"the program has no {what} {name!r}", name, _users_labels(labels))
    first: dict[str, list[str]] = {}
    for source in sources:
        for pcoll in _records_of(graph, labels[source]):
            if graph.parts.pcollections[pcoll].is_bounded == api.IsBounded.UNBOUNDED:
                raise NeverEnds(source)
            first[pcoll] = [one for one in graph.consumers.get(pcoll, ()) if pcoll in main_inputs(graph, one)]
    readers = {leaf for source in sources for leaf in graph.leaves(labels[source])}
    fed, _ = downstream(graph, (leaf for leaves in first.values() for leaf in leaves))
    entered = fed.intersection(graph.leaves(labels[step]))
    if readers.issuperset(graph.leaves(labels[step])):
        entered = fed.intersection(leaf for leaves in first.values() for leaf in leaves)
    if not entered:
        raise NotBehind(step, sources)
    below, left_out = downstream(graph, entered)
    before = _leading_to(graph, entered, fed) - below
    flow = Flow(graph, before | below, readers=readers)
    cut = flow.cut(left_out)
    aggregates_before = flow.aggregates(before)
    if not may_be_partial and (cut.aggregates or cut.side_readers):
        raise OfAPart(step, aggregates_before, cut)
    for source in sources:
        if not _take_only(graph, labels[source], wanted):
            for pcoll in _records_of(graph, labels[source]):
                _keep_wanted(graph, pcoll, source, wanted, flow)
    prune(graph, flow.kept)
    return cut


def _users_labels(labels: Iterable[str]) -> list[str]:
    """Returns the labels by which people know steps: nothing that is inside of what is ours."""
    known = [label for label in labels if label and INNER_LEAF not in label.split("/")]
    return [label for label in known if not label.startswith("beam_obs ")]


def _records_of(graph: PortableGraph, source: str) -> list[str]:
    """Returns the PCollections of records that a step reads."""
    return [
        pcoll
        for pcoll in graph.given_outside(source)
        if not any(
            tag in _NO_RECORDS and one == pcoll
            for tag, one in graph.node(graph.producers[pcoll]).outputs.items()
        )
    ]


def _leading_to(graph: PortableGraph, entered: Collection[str], fed: Collection[str]) -> set[str]:
    """Returns the leaves by which what is fed comes to others."""
    found = set[str]()
    pending = list(entered)
    while pending:
        for pcoll in main_inputs(graph, pending.pop()):
            producer = graph.producers.get(pcoll)
            if producer in fed and producer not in found:
                found.add(str(producer))
                pending.append(str(producer))
    return found


def _take_only(graph: PortableGraph, source: str, wanted: tuple[WantedPlaces, ...]) -> bool:
    """Lets a read of ours read no more than what is wanted; returns whether it is one."""
    for leaf in graph.leaves(source):
        node = graph.node(leaf)
        if node.spec.urn != PAR_DO_URN or not hasattr(facts_of(node).dofn, "take_only"):
            continue
        payload = api.ParDoPayload.FromString(node.spec.payload)
        dofn, *rest = pickler.loads(payload.do_fn.payload)
        dofn.take_only(wanted)
        payload.do_fn.payload = pickler.dumps((dofn, *rest))
        node.spec.payload = payload.SerializeToString()
        return True
    return False


def _keep_wanted(
    graph: PortableGraph, pcoll: str, source: str, wanted: tuple[WantedPlaces, ...], flow: Flow
) -> None:
    """Puts a step behind a read that leaves out the records which are not wanted."""
    taking = [leaf for leaf in graph.consumers.get(pcoll, ()) if leaf in flow.kept]
    kept = graph.add_pcollection(pcoll, "wanted", graph.coder_of(pcoll))
    (root,) = graph.proto.root_transform_ids
    beside = next(
        node
        for node in (graph.producers[pcoll], *graph.ancestors(graph.producers[pcoll]))
        if graph.parents.get(node) == root
    )
    spec = par_do_spec(KeepWanted(wanted, source))
    flow.kept.add(graph.insert(beside, records_label(source), spec, {MAIN: pcoll}, {MAIN: kept}))
    for leaf in taking:
        graph.replace_input(leaf, pcoll, kept)


def _quoted(labels: Collection[str]) -> str:
    return ", ".join(map(repr, sorted(labels)))
