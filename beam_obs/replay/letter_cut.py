"""A portable pipeline cut at stages: nothing upstream of them is left, and they take what a source gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from apache_beam.internal import pickler
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.typehints import typehints

from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.replayed import letters_label
from beam_obs.replay.letter_source import FindLetters, GiveRecords
from beam_obs.replay.pipeline_cut import FLATTEN_URN, MAIN, Cut, Flow, downstream, main_inputs, prune
from beam_obs.weaving.portable_graph import PAR_DO_URN, PortableGraph
from beam_obs.weaving.weave_state import par_do_spec
from beam_obs.wrapper.refusal import DEAD_TAG

_IMPULSE_URN = common_urns.primitives.IMPULSE.urn


@dataclasses.dataclass(frozen=True)
class LetterSteps:
    """What takes the place of all upstream of a stage.

    Args:
      find: takes an impulse, and gives what letters hold, each in its window and at its time.
      give: makes the records of it.
    """

    find: FindLetters
    give: GiveRecords


def cut_at_stages(proto: api.Pipeline, sources: Mapping[str, LetterSteps]) -> Cut:
    """Returns a pipeline without what is upstream of stages only.

    Args:
      proto: the pipeline, with stand-ins for coders, as Beam reads it back; it is changed in place.
      sources: full label of a stage that is in it -> what gives the stage its elements.
    """
    graph = PortableGraph(proto)
    cuts = {_leaf_of_stage(graph, stage): stage for stage in sources}
    below, left_out = downstream(graph, cuts)
    flow = Flow(graph, below, cuts)
    cut = flow.cut(left_out)
    windowing = _global_windowing(graph)
    for leaf, stage in cuts.items():
        _put_in(graph, leaf, stage, sources[stage], windowing, flow)
    prune(graph, flow.kept)
    return cut


def _leaf_of_stage(graph: PortableGraph, stage: str) -> str:
    names = (stage, f"{stage}/{INNER_LEAF}")
    return next(
        node_id
        for node_id in graph.order
        if graph.node(node_id).unique_name in names and DEAD_TAG in graph.node(node_id).outputs
    )


def _global_windowing(graph: PortableGraph) -> str:
    """Returns the windowing that what begins a pipeline gives, an impulse or another."""
    return next(
        str(graph.parts.pcollections[pcoll].windowing_strategy_id)
        for node in graph.parts.transforms.values()
        if not node.inputs and not node.subtransforms
        for pcoll in node.outputs.values()
    )


def _put_in(
    graph: PortableGraph, leaf: str, stage: str, steps: LetterSteps, windowing: str, flow: Flow
) -> None:
    """Puts the source of a stage's letters before it, in place of its input, or beside that."""
    (taken,) = main_inputs(graph, leaf)
    (root,) = graph.proto.root_transform_ids
    like = graph.parts.pcollections[taken]
    is_made = graph.producers.get(taken) in flow.through
    name = letters_label(stage)
    around = f"{leaf}_letters"

    def step(label: str, spec: api.FunctionSpec, inputs: dict[str, str], output: str) -> str:
        node_id = f"{around}_{label}"
        node = graph.parts.transforms[node_id]
        node.unique_name = f"{name}/{label}"
        node.spec.CopyFrom(spec)
        if spec.urn == PAR_DO_URN:
            node.environment_id = graph.environment
        node.inputs.update(inputs)
        node.outputs[MAIN] = output
        flow.kept.add(node_id)
        return node_id

    def pcollection(suffix: str, coder: str, windowing_id: str) -> str:
        pcoll_id = f"{around}_{suffix}"
        pcoll = graph.parts.pcollections[pcoll_id]
        pcoll.CopyFrom(like)
        pcoll.unique_name, pcoll.coder_id, pcoll.windowing_strategy_id = pcoll_id, coder, windowing_id
        return pcoll_id

    start = pcollection("start", _stand_in(bytes), windowing)
    held = pcollection("held", _stand_in(typehints.Any), like.windowing_strategy_id)
    given = pcollection("given", like.coder_id, like.windowing_strategy_id)
    whole = graph.parts.transforms[around]
    whole.unique_name = name
    whole.spec.urn, whole.spec.payload = python_urns.GENERIC_COMPOSITE_TRANSFORM, name.encode()
    whole.outputs[MAIN] = given
    whole.subtransforms.extend(
        (
            step("Impulse", api.FunctionSpec(urn=_IMPULSE_URN), {}, start),
            step("Find", par_do_spec(steps.find), {MAIN: start}, held),
            step("Give", par_do_spec(steps.give), {MAIN: held}, given),
        )
    )
    put_in = [around]
    if is_made:
        both = pcollection("both", like.coder_id, like.windowing_strategy_id)
        flatten = api.FunctionSpec(urn=FLATTEN_URN)
        put_in.append(step("and others", flatten, {"0": taken, "1": given}, both))
        given = both
    for node_id in reversed(put_in):
        graph.node(root).subtransforms.insert(0, node_id)
    graph.replace_input(leaf, taken, given)


def _stand_in(kind: object) -> str:
    """Returns what stands for the coder of elements of a type, where Beam reads a pipeline back."""
    return str(pickler.dumps(kind), "ascii")
