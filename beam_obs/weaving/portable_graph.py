"""A portable pipeline that can be rewritten: its edges, and new steps in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.wrapper.role import ROLE

KV_URN = common_urns.coders.KV.urn
BYTES_URN = common_urns.coders.BYTES.urn
ITERABLE_URN = common_urns.coders.ITERABLE.urn
PAR_DO_URN = common_urns.primitives.PAR_DO.urn

_TYPE = "python_type"
_KEPT_TYPE = "beam_obs_type"


def keep_types(proto: api.Pipeline) -> None:
    """Notes the class of each step where it stays when Beam reads the pipeline, which forgets most."""
    for node in proto.components.transforms.values():
        if _TYPE in node.annotations and _KEPT_TYPE not in node.annotations:
            node.annotations[_KEPT_TYPE] = node.annotations[_TYPE]


class PortableGraph:
    """A pipeline's proto and its edges. Changes are made in the proto.

    Args:
      proto: the pipeline; it is changed in place.
    """

    def __init__(self, proto: api.Pipeline) -> None:
        self.proto = proto
        self.parts = proto.components
        self.parents: dict[str, str] = {}
        self.order: list[str] = []
        self._names = {node.unique_name for node in self.parts.transforms.values()}
        for root in proto.root_transform_ids:
            self._walk(root)
        self.producers: dict[str, str] = {}
        self.consumers: dict[str, list[str]] = {}
        for node_id in self.order:
            node = self.parts.transforms[node_id]
            if node.subtransforms:
                continue
            taken = set(node.inputs.values())
            for pcoll in node.outputs.values():
                if pcoll not in taken:
                    self.producers[pcoll] = node_id
            for pcoll in dict.fromkeys(node.inputs[tag] for tag in sorted(node.inputs)):
                self.consumers.setdefault(pcoll, []).append(node_id)
        self._given: dict[str, list[str]] = {}
        for pcoll, node_id in self.producers.items():
            self._given.setdefault(node_id, []).append(pcoll)
        self.bytes_coder = self._bytes_coder()
        self.environment = self._environment()

    def _walk(self, node_id: str) -> None:
        self.order.append(node_id)
        for child in self.parts.transforms[node_id].subtransforms:
            self.parents[child] = node_id
            self._walk(child)

    # Steps.

    def node(self, node_id: str) -> api.PTransform:
        """Returns a step by its id."""
        return self.parts.transforms[node_id]

    def python_type(self, node_id: str) -> str:
        """Returns the full name of the class of a step, or an empty text."""
        annotations = self.node(node_id).annotations
        return str(annotations.get(_KEPT_TYPE) or annotations.get(_TYPE, b""), "utf-8", "replace")

    def role(self, node_id: str) -> str:
        """Returns what a step of ours is, one of `beam_obs.wrapper.role`; an empty text for others."""
        return str(self.node(node_id).annotations.get(ROLE, b""), "utf-8", "replace")

    def displayed(self, node_id: str, names: tuple[str, ...]) -> str | None:
        """Returns what a step and all that is in it display under the first of the names that any has."""
        found: dict[str, str] = {}
        for node in self.subtree(node_id):
            for data in self.node(node).display_data:
                told = api.LabelledPayload.FromString(data.payload)
                if told.key in names and told.string_value:
                    found.setdefault(told.key, told.string_value)
        return next((found[name] for name in names if name in found), None)

    def ancestors(self, node_id: str) -> Iterator[str]:
        """Gives the composites that a step is in, innermost first."""
        while node_id in self.parents:
            node_id = self.parents[node_id]
            yield node_id

    def subtree(self, node_id: str) -> Iterator[str]:
        """Gives a step and all that is in it."""
        yield node_id
        for child in self.node(node_id).subtransforms:
            yield from self.subtree(child)

    def leaves(self, node_id: str) -> list[str]:
        """Returns the leaves in a step, itself where it is one."""
        return [found for found in self.subtree(node_id) if not self.node(found).subtransforms]

    def taken_from_outside(self, node_id: str) -> list[str]:
        """Returns the PCollections that a step and all that is in it take and do not make."""
        leaves = self.leaves(node_id)
        made = {pcoll for leaf in leaves for pcoll in self.node(leaf).outputs.values()}
        taken = {
            pcoll: None
            for leaf in leaves
            for tag in sorted(self.node(leaf).inputs)
            if (pcoll := self.node(leaf).inputs[tag]) not in made or self.producers.get(pcoll) not in leaves
        }
        return list(taken)

    def given_outside(self, node_id: str) -> list[str]:
        """Returns the PCollections that a step makes and that are used outside of it or are its outputs."""
        leaves = set(self.leaves(node_id))
        outputs = set(self.node(node_id).outputs.values())
        return [
            pcoll
            for pcoll, producer in self.producers.items()
            if producer in leaves
            and (pcoll in outputs or any(one not in leaves for one in self.consumers.get(pcoll, ())))
        ]

    def given_by(self, node_id: str) -> list[str]:
        """Returns the PCollections that a step and all that is in it made before anything was changed."""
        return [pcoll for leaf in self.leaves(node_id) for pcoll in self._given.get(leaf, ())]

    def insert(
        self,
        beside: str,
        name: str,
        spec: api.FunctionSpec,
        inputs: dict[str, str],
        outputs: dict[str, str],
        before: bool = False,
    ) -> str:
        """Puts a step into the composite that another is in, before or behind it; returns its id."""
        node_id = f"{beside}_{name.rsplit(':', 1)[-1].replace(' ', '_')}"
        while node_id in self.parts.transforms:
            node_id += "_"
        while name in self._names:
            name += "_"
        self._names.add(name)
        node = self.parts.transforms[node_id]
        node.unique_name = name
        node.spec.CopyFrom(spec)
        node.environment_id = self.node(beside).environment_id or self.environment
        for tag, pcoll in inputs.items():
            node.inputs[tag] = pcoll
        for tag, pcoll in outputs.items():
            node.outputs[tag] = pcoll
        parent = self.parents.get(beside)
        siblings = self.node(parent).subtransforms if parent is not None else self.proto.root_transform_ids
        at = list(siblings).index(beside) + (0 if before else 1)
        siblings.insert(at, node_id)
        if parent is not None:
            self.parents[node_id] = parent
        return node_id

    def replace_input(self, node_id: str, old: str, new: str, whole: bool = False) -> None:
        """Lets a step, or all that is in it too, take another PCollection."""
        for found in self.subtree(node_id) if whole else (node_id,):
            inputs = self.node(found).inputs
            for tag in [tag for tag, pcoll in inputs.items() if pcoll == old]:
                inputs[tag] = new

    def replace_output(self, node_id: str, old: str, new: str) -> None:
        """Lets a step and all that is in it make another PCollection."""
        for found in self.subtree(node_id):
            outputs = self.node(found).outputs
            for tag in [tag for tag, pcoll in outputs.items() if pcoll == old]:
                outputs[tag] = new

    # PCollections.

    def add_pcollection(self, like: str, suffix: str, coder: str) -> str:
        """Adds a PCollection like another in all but its coder; returns its id."""
        pcoll_id = f"{like}_{suffix}"
        while pcoll_id in self.parts.pcollections:
            pcoll_id += "_"
        pcoll = self.parts.pcollections[pcoll_id]
        pcoll.CopyFrom(self.parts.pcollections[like])
        pcoll.unique_name = f"{pcoll.unique_name}.{pcoll_id}"
        pcoll.coder_id = coder
        return pcoll_id

    def coder_of(self, pcoll: str) -> str:
        """Returns the id of the coder of a PCollection."""
        return str(self.parts.pcollections[pcoll].coder_id)

    # Coders.

    def coder(self, urn: str, components: Iterable[str]) -> str:
        """Returns the id of a standard coder, adding it if need be."""
        wanted = list(components)
        name = f"woven_{urn.split(':')[2]}_{'_'.join(wanted)}"
        while name in self.parts.coders and self.components(name) != wanted:
            name += "_"  # names of coders hold underscores: two lists of them may make one text
        found = self.parts.coders[name]
        if not found.spec.urn:
            found.spec.urn = urn
            found.component_coder_ids.extend(wanted)
        return name

    def kv(self, coder: str) -> tuple[str, str] | None:
        """Returns the coders of key and value, or None where a coder is not of pairs."""
        found = self.parts.coders[coder]
        if found.spec.urn != KV_URN or len(found.component_coder_ids) != 2:
            return None
        return found.component_coder_ids[0], found.component_coder_ids[1]

    def components(self, coder: str) -> list[str]:
        """Returns the coders that a coder is made of."""
        return list(self.parts.coders[coder].component_coder_ids)

    def same_coder(self, one: str, other: str) -> bool:
        """Returns whether two coders are the same in all their parts."""
        if one == other:
            return True
        first, second = self.parts.coders[one], self.parts.coders[other]
        return (
            first.spec == second.spec
            and len(first.component_coder_ids) == len(second.component_coder_ids)
            and all(
                self.same_coder(left, right)
                for left, right in zip(first.component_coder_ids, second.component_coder_ids, strict=True)
            )
        )

    def _bytes_coder(self) -> str:
        for coder_id in sorted(self.parts.coders):
            if self.parts.coders[coder_id].spec.urn == BYTES_URN:
                return str(coder_id)
        self.parts.coders["woven_bytes"].spec.urn = BYTES_URN
        return "woven_bytes"

    def _environment(self) -> str:
        for node_id in self.order:
            node = self.node(node_id)
            if node.spec.urn == PAR_DO_URN and node.environment_id:
                payload = api.ParDoPayload.FromString(node.spec.payload)
                if payload.do_fn.urn == python_urns.PICKLED_DOFN_INFO:
                    return str(node.environment_id)
        return next(iter(sorted(self.parts.environments)), "")
