"""The last look at a woven pipeline: what each edge carries is what both of its ends say.

A coder of pairs takes any two things in a row, so a wrong one does not crash: it changes results.
"""

from __future__ import annotations

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.records.errors import BeamObsError
from beam_obs.weaving.graph import BYTES_URN, KV_URN, PAR_DO_URN
from beam_obs.weaving.loom import Loom
from beam_obs.wrapper.traced_forms import KEYED, PLAIN, SEED, TRACED


class MiswovenEdge(BeamObsError):
    """An edge of a woven pipeline does not carry what its ends say; the pipeline is not to be run."""


def check_edges(loom: Loom) -> None:
    """Checks every edge of a woven pipeline.

    Raises:
      MiswovenEdge: one is wrong.
    """
    graph = loom.graph
    made: dict[str, str] = {}
    leaves = [node_id for node_id in _walk(loom) if not graph.node(node_id).subtransforms]
    for leaf in leaves:
        node = graph.node(leaf)
        for pcoll in node.outputs.values():
            if pcoll in node.inputs.values():
                continue
            if pcoll in made:
                raise MiswovenEdge(f"{pcoll} is made by both {made[pcoll]!r} and {node.unique_name!r}")
            made[pcoll] = node.unique_name
    for leaf in leaves:
        node = graph.node(leaf)
        for tag, pcoll in node.inputs.items():
            if pcoll not in made:
                raise MiswovenEdge(f"{node.unique_name!r} takes {pcoll} ({tag}), which nothing makes")
        _check_leaf(loom, node)
    for pcoll in graph.parts.pcollections:
        _check_pcollection(loom, pcoll)


def _walk(loom: Loom) -> list[str]:
    found: list[str] = []
    for root in loom.graph.proto.root_transform_ids:
        found.extend(loom.graph.subtree(root))
    return found


def _check_leaf(loom: Loom, node: api.PTransform) -> None:
    graph = loom.graph
    urn = node.spec.urn
    if urn == common_urns.primitives.FLATTEN.urn:
        (given,) = node.outputs.values()
        forms = {_form(loom, pcoll) for pcoll in (given, *node.inputs.values())}
        if len(forms) > 1 and node.inputs:
            raise MiswovenEdge(f"{node.unique_name!r} brings together {sorted(forms)}")
    elif urn == common_urns.primitives.GROUP_BY_KEY.urn:
        (taken,), (given,) = node.inputs.values(), node.outputs.values()
        pair, group = graph.kv(graph.coder_of(taken)), graph.kv(graph.coder_of(given))
        if (
            pair is not None
            and group is not None
            and graph.parts.coders[group[1]].component_coder_ids
            and not graph.same_coder(pair[1], graph.components(group[1])[0])
        ):
            raise MiswovenEdge(f"{node.unique_name!r} groups values of another coder than it takes")
    elif urn == PAR_DO_URN:
        payload = api.ParDoPayload.FromString(node.spec.payload)
        for tag in payload.side_inputs:
            pcoll = node.inputs[tag]
            if _form(loom, pcoll) == KEYED or (
                _form(loom, pcoll) == TRACED and not node.unique_name.endswith("/InjectDefault")
            ):
                raise MiswovenEdge(f"{node.unique_name!r} has a side input {tag} with traces")


def _form(loom: Loom, pcoll: str) -> str:
    form = loom.form(pcoll)
    return PLAIN if form == SEED else form


def _check_pcollection(loom: Loom, pcoll: str) -> None:
    graph = loom.graph
    form, coder = loom.form(pcoll), graph.coder_of(pcoll)
    if coder not in graph.parts.coders:
        raise MiswovenEdge(f"{pcoll} has a coder {coder} that is not there")
    plain = loom.plain_coder.get(pcoll, coder)
    if form in (PLAIN, SEED):
        right = coder == plain
    elif form == TRACED:
        right = _is_traced(loom, coder, plain)
    elif form == KEYED:
        pair, keyed = graph.kv(plain), graph.kv(coder)
        right = (
            pair is not None
            and keyed is not None
            and graph.same_coder(pair[0], keyed[0])
            and _is_traced(loom, keyed[1], pair[1])
        )
    else:
        right = coder != plain or form == "reshuffled" or coder == loom.plain_coder.get(pcoll)
    if not right:
        raise MiswovenEdge(f"{pcoll} is {form}, and its coder is not of that form")


def _is_traced(loom: Loom, coder: str, plain: str) -> bool:
    found = loom.graph.parts.coders[loom.unsealed.get(coder, coder)]
    return (
        found.spec.urn == KV_URN
        and loom.graph.parts.coders[found.component_coder_ids[0]].spec.urn == BYTES_URN
        and loom.graph.same_coder(found.component_coder_ids[1], plain)
    )
