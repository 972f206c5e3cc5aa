"""The last look at a woven pipeline: what each edge carries is what both of its ends say.

A coder of pairs takes any two things in a row, so a wrong one does not crash: it changes results. So no form
is taken on trust: the coder of each PCollection is taken apart and held against the one that it had, a step
of the weave's own making is held against the forms that its DoFn says, and any other must be as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

from apache_beam.portability import common_urns

from beam_obs.records.errors import BeamObsError
from beam_obs.weaving import units
from beam_obs.weaving.aggregates import is_reified
from beam_obs.weaving.portable_graph import BYTES_URN, ITERABLE_URN, PAR_DO_URN
from beam_obs.weaving.units import Unit
from beam_obs.weaving.weave_state import ANY_CODER, WeaveState
from beam_obs.wrapper.element_forms import (
    ACCUMULATED,
    GROUPED,
    KEYED,
    LISTED,
    MEMBERS,
    PLAIN,
    RESHUFFLED,
    ROWS,
    SEED,
    WOVEN,
    Ends,
)
from beam_obs.wrapper.step_tally import LEDGER_TAG

_FLATTEN = common_urns.primitives.FLATTEN.urn
_WINDOW = common_urns.primitives.ASSIGN_WINDOWS.urn
_GROUP = common_urns.primitives.GROUP_BY_KEY.urn
_MADE_BY_GROUPING = {
    PLAIN: (PLAIN,),
    KEYED: (GROUPED, MEMBERS),
    ACCUMULATED: (ACCUMULATED,),
    RESHUFFLED: (RESHUFFLED,),
}


class MiswovenEdge(BeamObsError):
    """An edge of a woven pipeline does not carry what its ends say; the pipeline is not to be run.

    Args:
      message: what is wrong.
      units: those at the ends of the edge, that which makes it first.
    """

    def __init__(self, message: str, units: Iterable[Unit] = ()) -> None:
        super().__init__(message)
        self.units = tuple(units)


def check_edges(weave: WeaveState) -> None:
    """Checks every edge of a woven pipeline.

    Raises:
      MiswovenEdge: one is wrong.
    """
    _Check(weave).check()


class _Check:
    """A look at a weave. Args: weave: the weave."""

    def __init__(self, weave: WeaveState) -> None:
        self._weave = weave
        self._graph = weave.graph
        self._makers: dict[str, str] = {}
        self._takers: dict[str, list[str]] = {}

    def check(self) -> None:
        nodes = [one for root in self._graph.proto.root_transform_ids for one in self._graph.subtree(root)]
        leaves = [node_id for node_id in nodes if not self._graph.node(node_id).subtransforms]
        for leaf in leaves:
            self._note_edges(leaf)
        for leaf in leaves:
            self._leaf(leaf)
        for node_id in nodes:
            if self._graph.node(node_id).spec.urn in units.KNOWN_TO_RUNNERS:
                self._composite(node_id)
        for pcoll in self._graph.parts.pcollections:
            self._pcollection(pcoll)

    # Steps.

    def _note_edges(self, leaf: str) -> None:
        node = self._graph.node(leaf)
        for pcoll in node.outputs.values():
            if pcoll in node.inputs.values():
                continue
            if pcoll in self._makers:
                other = self._graph.node(self._makers[pcoll]).unique_name
                self._wrong(f"{pcoll} is made by both {other!r} and {node.unique_name!r}", leaf)
            self._makers[pcoll] = leaf
        for pcoll in node.inputs.values():
            self._takers.setdefault(pcoll, []).append(leaf)

    def _leaf(self, leaf: str) -> None:
        node, urn = self._graph.node(leaf), self._graph.node(leaf).spec.urn
        for tag, pcoll in node.inputs.items():
            if pcoll not in self._makers:
                self._wrong(f"{node.unique_name!r} takes {pcoll} ({tag}), which nothing makes", leaf)
        if self._passes_on(leaf):
            return
        if leaf in self._weave.says:
            self._as_it_says(leaf, self._weave.says[leaf])
            return
        if node.spec != self._weave.original.components.transforms[leaf].spec:
            self._wrong(f"{node.unique_name!r} was changed, and does not say what it takes", leaf)
        forms = {self._form(pcoll) for pcoll in (*node.inputs.values(), *node.outputs.values())}
        if urn == _GROUP:
            self._grouping(leaf)
        elif urn in (_FLATTEN, _WINDOW):
            if len(forms) > 1 and node.inputs:
                self._wrong(f"{node.unique_name!r} brings together {sorted(forms)}", leaf)
        elif not forms <= {PLAIN} and not self._is_in_reshuffle(leaf):
            self._wrong(f"{node.unique_name!r} is as it was, and has {sorted(forms)} at its ends", leaf)

    def _as_it_says(self, leaf: str, says: Ends) -> None:
        node = self._graph.node(leaf)
        beside: Iterable[str] = ()
        if leaf in self._weave.original.components.transforms and node.spec.urn == PAR_DO_URN:
            beside = self._weave.facts(leaf).payload.side_inputs
        ends = [
            (tag, pcoll, says.beside.get(tag, PLAIN) if tag in beside else says.takes)
            for tag, pcoll in node.inputs.items()
        ]
        ends += [
            (tag, pcoll, PLAIN if tag in (ROWS, LEDGER_TAG) else says.tags.get(tag, says.gives))
            for tag, pcoll in node.outputs.items()
        ]
        for tag, pcoll, form in ends:
            found = self._weave.form(pcoll)
            if found != form and not (form == PLAIN and found == SEED):
                self._wrong(f"{node.unique_name!r} has {found} at its end {tag}, and says {form}", leaf)

    def _passes_on(self, leaf: str) -> bool:
        """Returns whether a step is but a name, and gives what it takes."""
        unit = self._weave.unit_at(leaf)
        return unit is not None and unit.kind == units.NOTHING

    def _grouping(self, leaf: str) -> None:
        graph, node = self._graph, self._graph.node(leaf)
        (taken,), (given,) = node.inputs.values(), node.outputs.values()
        form = self._form(taken)
        if self._form(given) not in _MADE_BY_GROUPING.get(form, ()):
            self._wrong(f"{node.unique_name!r} makes {self._form(given)} of {form}", leaf)
        if form == PLAIN:
            return
        pair, group = graph.kv(graph.coder_of(taken)), graph.kv(graph.coder_of(given))
        values = None if group is None else self._listed(group[1])
        if form == RESHUFFLED and (pair is None or group is None or values is None):
            # What moves there may have a coder for anything, as its PCollection's own check says.
            return
        if pair is None or values is None or not graph.same_coder(pair[1], values):
            self._wrong(f"{node.unique_name!r} groups values of another coder than it takes", leaf)

    def _is_in_reshuffle(self, leaf: str) -> bool:
        """Returns whether a step of Beam's moves elements, from and to where it always did."""
        unit, transforms = self._weave.unit_at(leaf), self._weave.original.components.transforms
        if unit is None or unit.kind not in units.RESHUFFLES:
            return False
        whole, node, before = self._graph.node(unit.node), self._graph.node(leaf), transforms[leaf]
        (taken,), (was_taken,) = whole.inputs.values(), transforms[unit.node].inputs.values()
        (given,), (was_given,) = whole.outputs.values(), transforms[unit.node].outputs.values()
        form = self._weave.form(given)
        inputs = {tag: taken if pcoll == was_taken else pcoll for tag, pcoll in before.inputs.items()}
        outputs = {tag: given if pcoll == was_given else pcoll for tag, pcoll in before.outputs.items()}
        return (
            inputs == dict(node.inputs)
            and outputs == dict(node.outputs)
            and all(
                self._weave.form(pcoll) == (form if pcoll in (taken, given) else RESHUFFLED)
                for pcoll in (*node.inputs.values(), *node.outputs.values())
            )
        )

    def _composite(self, node_id: str) -> None:
        """A runner may put a step of its own in the place of a composite: it has the ends of its parts."""
        graph, node = self._graph, self._graph.node(node_id)
        leaves = graph.leaves(node_id)
        taken = {pcoll for leaf in leaves for pcoll in graph.node(leaf).inputs.values()}
        made = {pcoll for leaf in leaves for pcoll in graph.node(leaf).outputs.values()}
        if not taken >= set(node.inputs.values()) or not made | taken >= set(node.outputs.values()):
            self._wrong(f"{node.unique_name!r} has other ends than its parts", node_id)

    # PCollections.

    def _form(self, pcoll: str) -> str:
        form = self._weave.form(pcoll)
        return PLAIN if form == SEED else form

    def _pcollection(self, pcoll: str) -> None:
        form, coder, plain = (
            self._weave.form(pcoll),
            self._graph.coder_of(pcoll),
            self._weave.plain_coder.get(pcoll),
        )
        if coder not in self._graph.parts.coders:
            self._wrong_coder(pcoll, f"{pcoll} has a coder {coder} that is not there")
        if plain is None or form not in self._coders or not self._coders[form](self, pcoll, coder, plain):
            self._wrong_coder(pcoll, f"{pcoll} is {form}, and its coder is not of that form")

    def _is_plain(self, _: str, coder: str, plain: str) -> bool:
        return coder == plain

    def _is_woven(self, _: str, coder: str, plain: str) -> bool:
        pair = self._graph.kv(self._weave.unsealed.get(coder, coder))
        return (
            pair is not None
            and self._graph.parts.coders[pair[0]].spec.urn == BYTES_URN
            and self._graph.same_coder(pair[1], plain)
        )

    def _is_keyed(self, pcoll: str, coder: str, plain: str) -> bool:
        return self._has_value(coder, plain, lambda value, was: self._is_woven(pcoll, value, was))

    def _is_grouped(self, pcoll: str, coder: str, plain: str) -> bool:
        def are_woven(values: str, were: str) -> bool:
            value, was = self._listed(values), self._listed(were)
            return value is not None and was is not None and self._is_woven(pcoll, value, was)

        return self._has_value(coder, plain, are_woven)

    def _is_accumulated(self, _: str, coder: str, plain: str) -> bool:
        def is_wide(value: str, was: str) -> bool:
            pair, inner, was_inner = self._graph.kv(value), self._listed(value), self._listed(was)
            if pair is not None:
                return pair[0] == ANY_CODER and self._graph.same_coder(pair[1], was)
            return inner is not None and was_inner is not None and is_wide(inner, was_inner)

        return self._has_value(coder, plain, is_wide)

    def _is_reshuffled(self, pcoll: str, coder: str, plain: str) -> bool:
        graph, is_form = self._graph, self._coders[self._weave.moved.get(pcoll, RESHUFFLED)]

        def is_moved(value: str, was: str) -> bool:
            if is_form(self, pcoll, value, was):
                return True
            if value == was:
                return self._weave.takes_anything(was)
            inner, was_inner = self._listed(value), self._listed(was)
            if inner is not None and was_inner is not None:
                return is_moved(inner, was_inner)
            one, other = graph.parts.coders[value], graph.parts.coders[was]
            if not is_reified(one) or one.spec != other.spec:
                return False
            (first, *rest), (was_first, *were) = one.component_coder_ids, other.component_coder_ids
            return rest == were and is_form(self, pcoll, first, was_first)

        if is_form.__name__ == "_is_reshuffled":
            return False
        if graph.kv(plain) is None:
            return coder == plain and self._weave.takes_anything(plain)
        return self._has_value(coder, plain, is_moved)

    def _is_listed(self, _: str, coder: str, plain: str) -> bool:
        return coder == ANY_CODER

    _coders: dict[str, Callable[[_Check, str, str, str], bool]] = {
        PLAIN: _is_plain,
        SEED: _is_plain,
        WOVEN: _is_woven,
        KEYED: _is_keyed,
        GROUPED: _is_grouped,
        MEMBERS: _is_grouped,
        ACCUMULATED: _is_accumulated,
        RESHUFFLED: _is_reshuffled,
        LISTED: _is_listed,
    }

    def _has_value(self, coder: str, plain: str, is_right: Callable[[str, str], bool]) -> bool:
        """Returns whether two coders are of pairs of the same key, and their values are as they should."""
        pair, was = self._graph.kv(coder), self._graph.kv(plain)
        return (
            pair is not None
            and was is not None
            and self._graph.same_coder(pair[0], was[0])
            and is_right(pair[1], was[1])
        )

    def _listed(self, coder: str) -> str | None:
        """Returns the coder of the elements of a coder of iterables, None for any other."""
        found = self._graph.parts.coders[coder]
        if found.spec.urn != ITERABLE_URN or len(found.component_coder_ids) != 1:
            return None
        return str(found.component_coder_ids[0])

    # What is wrong.

    def _wrong(self, message: str, node_id: str) -> NoReturn:
        raise MiswovenEdge(message, self._units_at([node_id, *self._around(node_id)]))

    def _wrong_coder(self, pcoll: str, message: str) -> NoReturn:
        maker = [self._makers[pcoll]] if pcoll in self._makers else []
        raise MiswovenEdge(message, self._units_at([*maker, *self._takers.get(pcoll, ())]))

    def _around(self, node_id: str) -> Iterator[str]:
        node = self._graph.node(node_id)
        for pcoll in node.inputs.values():
            if pcoll in self._makers:
                yield self._makers[pcoll]
        for pcoll in node.outputs.values():
            yield from self._takers.get(pcoll, ())

    def _units_at(self, nodes: Iterable[str]) -> list[Unit]:
        found = (self._weave.unit_at(node_id) for node_id in nodes)
        return list(dict.fromkeys(unit for unit in found if unit is not None and unit.kind != units.NOTHING))
