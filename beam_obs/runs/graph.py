"""The graph of a pipeline as its report tells it: stages, the steps between them, and their PCollections."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows

from beam_obs.dead_letters.homes import KeepRefusals
from beam_obs.metrics.names import LATER_LEAF, stage_of_step
from beam_obs.runs.one_row import Row, one_row_steps
from beam_obs.stages.guarded_combine import SplitCombined
from beam_obs.woven.held_back import emits_at_the_end, unchecked
from beam_obs.woven.state import remembers
from beam_obs.wrapper.refusal import DEAD_TAG, EVIDENCE_TAG
from beam_obs.wrapper.role import KEEPING, ROLE
from beam_obs.wrapper.stand_in_dofn import innermost
from beam_obs.wrapper.user_callable import MAP, MAP_TUPLE, user_callable
from beam_obs.wrapper.windowing_par_do import is_in_one_window

_FAILED_TAGS = ("FailedRows", "FailedRowsWithErrors")
"""Outputs in Beam's writes that hold each record once which the service has refused."""
_NOT_OF_USERS = frozenset({"apache_beam", "beam_obs"})
"""Packages whose DoFns hold nothing back that they do not give."""

_IdOf: TypeAlias = Callable[[PCollection], str]


@dataclasses.dataclass(frozen=True)
class Edge:
    """One PCollection.

    Args:
      id: the id that runners report its element count under.
      producer: label of the innermost step of the report that makes it.
      consumers: labels of the steps that take it as main input.
    """

    id: str
    producer: str
    consumers: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Step:
    """One line of the report.

    Args:
      label: full label.
      is_stage: whether it is one of our stages.
      inputs: ids of its main inputs.
      outputs: ids of its outputs by tag; of a stage without its dead letters.
      dead: id of the stage's dead letters, where it keeps them.
      all_outputs_known: whether no output can leave under a tag that the graph does not have.
      after: labels of the steps that it takes from, side inputs among them.
      keeps_state: labels of its parts that keep records in state, from where they come later or never.
      gives_each_once: whether it gives one output for each element that it takes.
      may_drop: labels of its parts that bring elements together some of which may be late.
      holds_back: labels of its parts that hold records in themselves until their bundle ends.
    """

    label: str
    is_stage: bool
    inputs: tuple[str, ...]
    outputs: Mapping[str, str]
    dead: str | None = None
    all_outputs_known: bool = True
    after: tuple[str, ...] = ()
    keeps_state: tuple[str, ...] = ()
    may_drop: tuple[str, ...] = ()
    gives_each_once: bool = False
    holds_back: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Composite:
    """Steps that people see as one row.

    Args:
      label: full label of the composite.
      inputs: ids of its main inputs.
      outputs: ids of its outputs, without dead letters.
      row: what kind of row it is.
      failed: id of the output in it that holds what a service refused, where there is one.
    """

    label: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    row: Row
    failed: str | None = None


@dataclasses.dataclass(frozen=True)
class Graph:
    """Steps in the order they were applied, the PCollections between them, and what is one row of them."""

    steps: tuple[Step, ...]
    edges: tuple[Edge, ...]
    composites: tuple[Composite, ...] = ()


def read_graph(
    pipeline: Any,
    stages: Iterable[str],
    hidden: Iterable[str] = (),
    rows: Mapping[str, Row] | None = None,
    was_run: bool = True,
) -> Graph:
    """Returns the graph of a pipeline that was run, or will be.

    A composite that is one row is one step, unless there are stages in it: those are steps, and what is
    beside them. Any other composite is told by its parts.

    Args:
      pipeline: the ``beam.Pipeline``; its ids of PCollections are those that the runner used.
      stages: labels of the stages.
      hidden: labels of top steps of our own, which the report leaves out.
      rows: what is one row, as the pipeline that the user built tells it; by default this one.
      was_run: whether it was; before that the graph has ids of its own, since Beam has given none.
    """
    id_of = _ids_of_runner(pipeline) if was_run else _ids_of_our_own()
    labels = frozenset(stages)
    rows = one_row_steps(pipeline) if rows is None else rows
    root = pipeline._root_transform()
    shown = [part for part in root.parts if part.full_label not in hidden]
    nodes = [node for part in shown for node in _told(part, labels, rows)]
    # A combine in a guarded composite is followed by what takes apart what it gives: that is a part of it.
    splits = {stage_of_step(node.full_label): node for node in nodes if _is_combine(node)}
    nodes = [node for node in nodes if not _is_combine(node)]
    # A composite may give what it takes: the step before it made that.
    makers: dict[str, str] = {}
    for node in nodes:
        for part in (node, *_parts(node), *filter(None, (splits.get(node.full_label),))):
            for value in part.outputs.values():
                if isinstance(value, PCollection):
                    makers.setdefault(id_of(value), node.full_label)
    steps = tuple(
        dataclasses.replace(
            _step(id_of, node, node.full_label in labels, splits.get(node.full_label)),
            after=tuple(_taken_from(id_of, node, makers)),
            **_ways_out(node),
        )
        for node in nodes
    )
    producers = {id_: makers.get(id_, step.label) for step in steps for id_ in step.outputs.values()}
    # What a step gives need not be a result of its own: a deferred frame holds what it is made of.
    producers |= {id_: makers[id_] for step in steps for id_ in step.inputs if id_ in makers}
    consumers: dict[str, list[str]] = {}
    for step in steps:
        for id_ in step.inputs:
            consumers.setdefault(id_, []).append(step.label)
    edges = tuple(Edge(id_, label, tuple(consumers.get(id_, ()))) for id_, label in producers.items())
    composites = tuple(
        _composite(id_of, node, rows[node.full_label])
        for part in shown
        for node in (part, *_parts(part))
        if node.full_label in rows
    )
    told = {step.label for step in steps}
    return Graph(steps, edges, tuple(one for one in composites if one.row.is_write or one.label not in told))


def _told(
    node: Any, stages: frozenset[str], rows: Mapping[str, Row], is_in_row: bool = False
) -> Iterator[Any]:
    if isinstance(node.transform, KeepRefusals) or node.annotations.get(ROLE, b"").decode() in KEEPING:
        return
    is_in_row = is_in_row or node.full_label in rows
    has_stages = any(label.startswith(f"{node.full_label}/") for label in stages)
    if node.full_label in stages or not node.parts or (is_in_row and not has_stages):
        yield node
    else:
        for part in node.parts:
            yield from _told(part, stages, rows, is_in_row)


def _composite(id_of: _IdOf, node: Any, row: Row) -> Composite:
    outputs = {
        str(tag): id_of(value)
        for tag, value in node.outputs.items()
        if isinstance(value, PCollection) and not str(tag).startswith(DEAD_TAG)
    }
    inputs = tuple(id_of(value) for value in node.main_inputs.values() if isinstance(value, PCollection))
    # A write of ours counts what its service refused among its dead letters.
    corrected = any(part.full_label.endswith(f"/{LATER_LEAF}") for part in _parts(node))
    refused = (
        id_of(value)
        for part in (_parts(node) if row.is_write and not corrected else ())
        for tag, value in part.outputs.items()
        if tag in _FAILED_TAGS
    )
    return Composite(node.full_label, inputs, tuple(outputs.values()), row, next(refused, None))


def _step(id_of: _IdOf, node: Any, is_stage: bool, split: Any = None) -> Step:
    inputs = tuple(id_of(value) for value in node.main_inputs.values() if isinstance(value, PCollection))
    corrected = any(part.full_label == f"{node.full_label}/{LATER_LEAF}" for part in node.parts)
    # What a service refused is found behind its write: no one step has the outputs that the stage counts.
    leaf = split or (_observed_leaf(node) if is_stage and not corrected else None)
    outputs = {
        str(tag): id_of(value)
        for tag, value in (leaf or node).outputs.items()
        if isinstance(value, PCollection)
    }
    dead = outputs.pop(DEAD_TAG, None) if leaf is not None else None
    outputs.pop(EVIDENCE_TAG, None)
    given = {
        str(tag): id_of(value)
        for tag, value in (split or node).outputs.items()
        if isinstance(value, PCollection) and not str(tag).startswith((DEAD_TAG, EVIDENCE_TAG))
    }
    if leaf is not None and _is_combine(leaf):
        # What it refuses is found inside of the combine, which may give a default where there is nothing.
        is_last = set(outputs.values()) == set(given.values())
        return Step(node.full_label, is_stage, inputs, given, dead, is_last)
    known = (
        not any(getattr(part.transform, "_allow_unknown_tags", False) for part in _parts(node))
        if leaf
        else not corrected
    )
    return Step(node.full_label, is_stage, inputs, outputs, dead, known)


def _ways_out(node: Any) -> dict[str, Any]:
    """Returns what is to be known of how elements come out of a step, as fields of it."""
    parts = [node, *_parts(node, without_evidence=True)]
    taken = [value for value in node.main_inputs.values() if isinstance(value, PCollection)]
    return {
        "keeps_state": tuple(part.full_label for part in parts if _keeps_state(part.transform)),
        "may_drop": tuple(part.full_label for part in parts if _may_drop(part)),
        "holds_back": tuple(part.full_label for part in parts if _holds_back(part.transform)),
        "gives_each_once": len(taken) == len(node.outputs) == 1 and _gives_each_once(node, taken[0]),
    }


def _keeps_state(transform: Any) -> bool:
    # Beam looked at all methods of the DoFn when the step was made, which takes milliseconds.
    if not isinstance(transform, beam.ParDo) or not transform._signature.is_stateful_dofn():
        return False
    return remembers(innermost(transform.fn))


def _holds_back(transform: Any) -> bool:
    """Returns whether a DoFn of the user's holds records back; Beam's own, as of its sinks, lose none."""
    dofn = innermost(getattr(transform, "fn", None))
    if not isinstance(dofn, beam.DoFn) or not emits_at_the_end(dofn):
        return False
    return type(unchecked(dofn)).__module__.partition(".")[0] not in _NOT_OF_USERS


def _gives_each_once(node: Any, taken: PCollection) -> bool:
    """Returns whether a step has an output for each element; Beam takes one apart that is in many windows."""
    if not is_in_one_window(taken.windowing):
        return False
    if isinstance(node.transform, (beam.WindowInto, beam.Reshuffle, beam.CombineValues)):
        return True
    dofn = getattr(node.transform, "fn", None)
    return isinstance(dofn, beam.DoFn) and user_callable(dofn).kind in (MAP, MAP_TUPLE)


def _may_drop(node: Any) -> bool:
    """Returns whether a step groups what may be late: nothing is that is bounded, or in no window."""
    return isinstance(node.transform, beam.GroupByKey) and any(
        not value.is_bounded and not isinstance(value.windowing.windowfn, GlobalWindows)
        for value in node.main_inputs.values()
    )


def _taken_from(id_of: _IdOf, node: Any, makers: Mapping[str, str]) -> list[str]:
    """Returns the labels of the steps that a step takes from, itself left out."""
    labels = (
        makers.get(id_of(value))
        for part in (node, *_parts(node))
        for value in (*part.main_inputs.values(), *(side.pvalue for side in part.side_inputs))
        if isinstance(value, PCollection)
    )
    return list(dict.fromkeys(label for label in labels if label not in (None, node.full_label)))


def _observed_leaf(node: Any) -> Any:
    leaves = (part for part in (node, *_parts(node)) if not part.parts)
    return next((leaf for leaf in leaves if stage_of_step(leaf.full_label) == node.full_label), None)


def _is_combine(leaf: Any) -> bool:
    return isinstance(getattr(leaf.transform, "fn", None), SplitCombined)


def _parts(node: Any, without_evidence: bool = False) -> Iterator[Any]:
    for part in node.parts:
        if not (without_evidence and getattr(part.transform, "role", None) in KEEPING):
            yield part
            yield from _parts(part, without_evidence)


def _ids_of_runner(pipeline: Any) -> _IdOf:
    ids = pipeline.component_id_map
    return lambda pcollection: str(ids.get_or_assign(pcollection, obj_type=PCollection))


def _ids_of_our_own() -> _IdOf:
    numbers: dict[Any, str] = {}
    return lambda pcollection: numbers.setdefault(pcollection, str(len(numbers)))
