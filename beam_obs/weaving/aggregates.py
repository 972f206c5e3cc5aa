"""Weaving the steps that bring elements together, or move them about by key."""

from __future__ import annotations

from typing import Any

from apache_beam.internal import pickler
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.transforms.core import CombineValuesDoFn
from google.protobuf import wrappers_pb2  # type: ignore[import-untyped, unused-ignore]

from beam_obs.records.weave_report import NO_ORIGIN
from beam_obs.weaving.gatherings import (
    OVERLAPS,
    count_windows_before,
    counts_windows,
    gives_at_end,
    note_gathering,
    noted_least,
    obstacle_to_gather,
    taken_as_whole,
)
from beam_obs.weaving.ledger_edges import SOME_REFUSED, has_windows, note_taken, tally_step
from beam_obs.weaving.portable_graph import ITERABLE_URN, KV_URN, PAR_DO_URN
from beam_obs.weaving.steps import leave_as_it_is
from beam_obs.weaving.units import RESHUFFLE_PER_KEY, TELL_LATE, Unit, feeds_hot_keys
from beam_obs.weaving.weave_state import DERIVATIONS, WINDOW_COUNTS, WeaveState
from beam_obs.woven.aggregate_origins import (
    CombinedDoFn,
    GloballyCombinedDoFn,
    GloballyGroupedDoFn,
    GroupedDoFn,
)
from beam_obs.woven.combine import WovenCombineFn
from beam_obs.woven.gathered import WINDOWS, CountToldDoFn
from beam_obs.wrapper.element_forms import (
    ACCUMULATED,
    GROUPED,
    KEYED,
    MEMBERS,
    PLAIN,
    RESHUFFLED,
    ROWS,
    WOVEN,
    Ends,
)

_COMBINE_URNS = frozenset(
    {
        common_urns.composites.COMBINE_PER_KEY.urn,
        common_urns.combine_components.COMBINE_GROUPED_VALUES.urn,
    }
)
_GROUP_URN = common_urns.primitives.GROUP_BY_KEY.urn
_NOT_PAIRS = "its coders are not of pairs"


def weave_group(weave: WeaveState, node_id: str) -> None:
    """Groups keyed elements, and makes the origin of each group in a step behind."""
    node = weave.graph.node(node_id)
    if node.subtransforms or len(node.inputs) != 1 or len(node.outputs) != 1:
        leave_as_it_is(weave, node_id, "it is not made as usual")
        return
    (taken,), (given,) = node.inputs.values(), node.outputs.values()
    if not weave.is_woven(taken):
        leave_as_it_is(weave, node_id, NO_ORIGIN)
        return
    grouped_coder = _grouped_coder(weave, taken, given)
    if grouped_coder is None:
        leave_as_it_is(weave, node_id, _NOT_PAIRS)
        return
    (tag,) = node.inputs
    if weave.takers_choose(given):
        node.inputs[tag] = weave.needed(taken, KEYED, node_id)
        weave.forms[given] = MEMBERS
        weave.graph.parts.pcollections[given].coder_id = grouped_coder
        weave.note_woven(node_id)
        return
    node.inputs[tag] = _keyed(weave, node_id, taken)
    grouped = weave.graph.add_pcollection(given, "grouped", grouped_coder)
    weave.forms[grouped], weave.plain_coder[grouped] = GROUPED, weave.plain_coder[given]
    weave.graph.replace_output(node_id, given, grouped)
    form = weave.form_for(given)
    weave.set_form(given, form)
    aggregate = weave.aggregate(node_id, taken, given)
    behind = GloballyGroupedDoFn if aggregate.is_global else GroupedDoFn
    dofn = behind(aggregate, form, counts_windows(weave, taken), noted_least(weave))
    _insert_behind(weave, node_id, dofn, taken, grouped, given)
    weave.note_woven(node_id)


def weave_combine(weave: WeaveState, node_id: str) -> None:
    """Combines woven values with the user's CombineFn, however a runner takes the aggregate apart."""
    graph, node = weave.graph, weave.graph.node(node_id)
    (taken,), (given,) = node.inputs.values(), node.outputs.values()
    if not weave.is_woven(taken):
        leave_as_it_is(weave, node_id, NO_ORIGIN)
        return
    if not weave.can_be_keyed(taken) or not weave.can_be_keyed(given):
        leave_as_it_is(weave, node_id, _NOT_PAIRS)
        return
    try:
        changes = _combine_changes(weave, node_id, taken)
    except _NotAsUsual as found:
        leave_as_it_is(weave, node_id, str(found))
        return
    graph.replace_input(node_id, taken, _keyed(weave, node_id, taken), whole=True)
    inputs_in = _inputs_in(node)
    for inner, spec in changes.items():
        graph.node(inner).spec.CopyFrom(spec)
        if spec.urn == PAR_DO_URN:
            weave.says[inner] = Ends(GROUPED, KEYED)
    _give_combined(weave, node_id, taken, given, inputs_in)


def weave_combine_by_hand(weave: WeaveState, node_id: str) -> None:
    """An aggregate made of ParDos, which Beam takes where a CombineFn has side inputs."""
    graph, node = weave.graph, weave.graph.node(node_id)
    leaves = graph.leaves(node_id)
    beside = {
        graph.node(leaf).inputs[tag]
        for leaf in leaves
        if graph.node(leaf).spec.urn == PAR_DO_URN
        for tag in weave.facts(leaf).payload.side_inputs
    }
    mains = [pcoll for pcoll in graph.taken_from_outside(node_id) if pcoll not in beside]
    if len(mains) != 1 or len(node.outputs) != 1 or len(leaves) != 3:
        leave_as_it_is(weave, node_id, "it is not made as usual")
        return
    (taken,), (given,) = mains, node.outputs.values()
    if not weave.is_woven(taken):
        leave_as_it_is(weave, node_id, NO_ORIGIN)
        return
    if not weave.can_be_keyed(taken) or not weave.can_be_keyed(given):
        leave_as_it_is(weave, node_id, _NOT_PAIRS)
        return
    first, group, last = leaves
    by_hand = [weave.facts(leaf) for leaf in (first, last)]
    if graph.node(group).spec.urn != _GROUP_URN or any(
        not hasattr(facts.dofn, "_combine_fn") for facts in by_hand
    ):
        leave_as_it_is(weave, node_id, "it is not made as usual")
        return
    (accumulated,), (collected,) = graph.node(first).outputs.values(), graph.node(group).outputs.values()
    if not _widen_accumulators(weave, accumulated, collected):
        leave_as_it_is(weave, node_id, _NOT_PAIRS)
        return
    inputs_in = getattr(by_hand[0].dofn._combine_fn, "inputs_in", None)
    ends = (Ends(KEYED, ACCUMULATED), Ends(ACCUMULATED, KEYED))
    for leaf, facts, says in zip((first, last), by_hand, ends, strict=True):
        combine_fn = facts.dofn._combine_fn
        facts.dofn._combine_fn = WovenCombineFn(pickler.dumps(combine_fn), weave.settings.limit)
        facts.payload.do_fn.payload = pickler.dumps((facts.dofn, facts.args, facts.kwargs, None, None))
        graph.node(leaf).spec.payload = facts.payload.SerializeToString()
        weave.says[leaf] = says
    graph.replace_input(node_id, taken, _keyed(weave, node_id, taken), whole=True)
    for pcoll in sorted(beside):
        graph.replace_input(node_id, pcoll, weave.needed(pcoll, PLAIN, node_id), whole=True)
    _give_combined(weave, node_id, taken, given, inputs_in)


def weave_reshuffle(weave: WeaveState, unit: Unit) -> None:
    """A reshuffle runs as it is, on woven elements: only coders change, each by its role."""
    graph, node_id = weave.graph, unit.node
    node = graph.node(node_id)
    if len(node.inputs) != 1 or len(node.outputs) != 1:
        leave_as_it_is(weave, node_id, "it is not made as usual")
        return
    (taken,), (given,) = node.inputs.values(), node.outputs.values()
    if not weave.is_woven(taken):
        leave_as_it_is(weave, node_id, NO_ORIGIN)
        return
    whole = unit.kind != RESHUFFLE_PER_KEY
    form = KEYED if not whole else weave.form_for(given)
    if not weave.can_be_keyed(taken) or not weave.can_be_keyed(given):
        if not whole:
            leave_as_it_is(weave, node_id, _NOT_PAIRS)
            return
        form = WOVEN
    changed = _reshuffled_coders(weave, node_id, form if whole else WOVEN)
    if changed is None and whole and form == KEYED:
        form = WOVEN
        changed = _reshuffled_coders(weave, node_id, form)
    if changed is None:
        leave_as_it_is(weave, node_id, "its coders are not as usual")
        return
    moved = weave.needed(taken, form, node_id)
    counts = unit.kind == TELL_LATE and counts_windows(weave, taken)
    if counts:
        moved = count_windows_before(weave, node_id, moved)
    graph.replace_input(node_id, taken, moved, whole=True)
    for pcoll, coder in changed.items():
        graph.parts.pcollections[pcoll].coder_id = coder
        weave.forms[pcoll], weave.moved[pcoll] = RESHUFFLED, form if whole else WOVEN
    weave.set_form(given, form)
    if counts:
        _count_told(weave, node_id, taken, given, form)
    weave.note_woven(node_id)


def _count_told(weave: WeaveState, node_id: str, taken: str, given: str, form: str) -> None:
    """Counts what a step gives that tells what is late: what is later than it can tell was dropped in it."""
    label = weave.label(node_id)
    told = weave.new_pcollection(given, "told", form)
    weave.graph.replace_output(node_id, given, told)
    dofn = CountToldDoFn(form, noted_least(weave))
    outputs = {"None": given, WINDOWS: weave.rows_of(given, WINDOW_COUNTS, label)}
    tally_step(weave, dofn, label, given, outputs, told_by=None if has_windows(weave, given) else 0)
    counting = weave.insert_dofn(node_id, f"{label}/beam_obs:told", dofn, told, outputs)
    note_gathering(weave, node_id, taken, counting, holds_each_once=True)
    if dofn.points is not None:
        note_taken(weave, counting, dofn.points, taken, label, may_drop=True)


# Parts.


def _grouped_coder(weave: WeaveState, taken: str, given: str) -> str | None:
    graph = weave.graph
    pair, group = graph.kv(weave.plain_coder[taken]), graph.kv(weave.plain_coder[given])
    if pair is None or group is None:
        return None
    values = graph.parts.coders[group[1]]
    if values.spec.urn != ITERABLE_URN or not graph.same_coder(values.component_coder_ids[0], pair[1]):
        return None
    woven = graph.components(weave.coder_in(KEYED, weave.plain_coder[taken]))[1]
    return graph.coder(KV_URN, [group[0], graph.coder(ITERABLE_URN, [woven])])


def _keyed(weave: WeaveState, node_id: str, taken: str) -> str:
    """Returns what a step that groups is to take, counted where some of it may be late."""
    keyed = weave.needed(taken, KEYED, node_id)
    return count_windows_before(weave, node_id, keyed) if counts_windows(weave, taken) else keyed


def _insert_behind(
    weave: WeaveState,
    node_id: str,
    dofn: Any,
    taken: str,
    gathered: str,
    given: str,
    counts_inputs: bool = False,
) -> None:
    label = weave.label(node_id)
    outputs = {"None": given, ROWS: weave.rows_of(given, DERIVATIONS, label)}
    if counts_windows(weave, taken):
        outputs[WINDOWS] = weave.rows_of(given, WINDOW_COUNTS, label)
    told_by = None if has_windows(weave, taken) and has_windows(weave, given) else 0
    dofn.gives_at_end = gives_at_end(weave.windowing(taken).triggerfn)
    tally_step(weave, dofn, label, given, outputs, told_by=told_by, makes_groups=True)
    counting = weave.insert_dofn(node_id, f"{label}/beam_obs:origins", dofn, gathered, outputs)
    note_gathering(weave, node_id, taken, counting, counts_inputs=counts_inputs)
    if dofn.points is not None:
        obstacle = SOME_REFUSED if counts_inputs else obstacle_to_gather(weave, taken, True)
        if obstacle == OVERLAPS:  # in each of them it counts
            obstacle = ""
        whole, may_drop = taken_as_whole(weave, node_id, taken), counts_windows(weave, taken)
        note_taken(weave, counting, dofn.points, whole, label, obstacle, may_drop)


def _inputs_in(node: api.PTransform) -> Any:
    """Returns what tells how many elements went into an output, of a CombineFn that leaves some out."""
    payload = api.CombinePayload.FromString(node.spec.payload)
    return getattr(pickler.loads(_pickled_combine_fn(payload.combine_fn)), "inputs_in", None)


def _give_combined(weave: WeaveState, node_id: str, taken: str, given: str, inputs_in: Any = None) -> None:
    """Puts the step behind an aggregate that makes the origin; till then a summary has its place."""
    graph = weave.graph
    if feeds_hot_keys(graph, node_id, given):
        weave.set_form(given, KEYED)
        weave.note_woven(node_id)
        return
    combined = weave.new_pcollection(given, "combined", KEYED)
    graph.replace_output(node_id, given, combined)
    form = weave.form_for(given)
    weave.set_form(given, form)
    aggregate = weave.aggregate(node_id, taken, given)
    behind = GloballyCombinedDoFn if aggregate.is_global else CombinedDoFn
    _insert_behind(
        weave,
        node_id,
        behind(aggregate, form, counts_windows(weave, taken), noted_least(weave), inputs_in),
        taken,
        combined,
        given,
        inputs_in is not None,
    )
    weave.note_woven(node_id)


class _NotAsUsual(Exception):
    """A part of a composite is not what the weave knows."""


def _combine_changes(weave: WeaveState, node_id: str, taken: str) -> dict[str, api.FunctionSpec]:
    """Returns the new specs of an aggregate and its parts; changes the coder of the groups inside."""
    graph = weave.graph
    changes: dict[str, api.FunctionSpec] = {}
    grouped: list[tuple[str, str]] = []
    for inner in graph.subtree(node_id):
        node = graph.node(inner)
        if node.spec.urn in _COMBINE_URNS:
            changes[inner] = _woven_combine_spec(weave, node.spec)
        elif node.spec.urn == PAR_DO_URN:
            changes[inner] = _woven_combine_dofn(weave, inner)
        elif node.spec.urn == _GROUP_URN:
            (groups,) = node.outputs.values()
            coder = _grouped_coder(weave, taken, groups)
            if coder is None:
                raise _NotAsUsual(_NOT_PAIRS)
            grouped.append((groups, coder))
        else:
            raise _NotAsUsual("it is not made as usual")
    for groups, coder in grouped:
        graph.parts.pcollections[groups].coder_id = coder
        weave.forms[groups] = GROUPED
    return changes


def _woven_combine_spec(weave: WeaveState, spec: api.FunctionSpec) -> api.FunctionSpec:
    payload = api.CombinePayload.FromString(spec.payload)
    woven = WovenCombineFn(_pickled_combine_fn(payload.combine_fn), weave.settings.limit, False)
    payload.combine_fn.payload = wrappers_pb2.BytesValue(value=pickler.dumps(woven)).SerializeToString()
    payload.accumulator_coder_id = weave.graph.coder(
        KV_URN, [weave.any_coder(), payload.accumulator_coder_id]
    )
    return api.FunctionSpec(urn=spec.urn, payload=payload.SerializeToString())


def _woven_combine_dofn(weave: WeaveState, node_id: str) -> api.FunctionSpec:
    facts = weave.facts(node_id)
    if not isinstance(facts.dofn, CombineValuesDoFn):
        raise _NotAsUsual("it is not made as usual")
    combine_fn, has_arguments = facts.dofn.combinefn, bool(facts.args or facts.kwargs)
    facts.dofn.combinefn = WovenCombineFn(pickler.dumps(combine_fn), weave.settings.limit, has_arguments)
    facts.payload.do_fn.payload = pickler.dumps((facts.dofn, facts.args, facts.kwargs, None, None))
    return api.FunctionSpec(urn=PAR_DO_URN, payload=facts.payload.SerializeToString())


def _pickled_combine_fn(spec: api.FunctionSpec) -> bytes:
    if spec.urn != python_urns.PICKLED_COMBINE_FN:
        raise _NotAsUsual("its function is not in Python")
    return bytes(wrappers_pb2.BytesValue.FromString(spec.payload).value)


def _widen_accumulators(weave: WeaveState, accumulated: str, collected: str) -> bool:
    """Lets the PCollections of accumulators take contributors beside them."""
    graph = weave.graph
    pair, group = graph.kv(weave.plain_coder[accumulated]), graph.kv(weave.plain_coder[collected])
    if pair is None or group is None or graph.parts.coders[group[1]].spec.urn != ITERABLE_URN:
        return False
    wide = graph.coder(KV_URN, [weave.any_coder(), pair[1]])
    graph.parts.pcollections[accumulated].coder_id = graph.coder(KV_URN, [pair[0], wide])
    graph.parts.pcollections[collected].coder_id = graph.coder(
        KV_URN, [group[0], graph.coder(ITERABLE_URN, [wide])]
    )
    weave.forms[accumulated] = weave.forms[collected] = ACCUMULATED
    return True


def _reshuffled_coders(weave: WeaveState, node_id: str, form: str) -> dict[str, str] | None:
    """Returns the new coders of the PCollections inside of a reshuffle, or None where one is not as usual.

    The moved element is the value of the pairs inside, alone or, at the shuffle, with its time and window.

    Args:
      weave: the weave.
      node_id: the reshuffle.
      form: of the moved element.
    """
    graph = weave.graph
    (given,) = graph.node(node_id).outputs.values()
    shuffled: set[str] = set()
    for leaf in graph.leaves(node_id):
        if graph.node(leaf).spec.urn == _GROUP_URN:
            shuffled.update(graph.node(leaf).inputs.values(), graph.node(leaf).outputs.values())
    changed: dict[str, str] = {}
    for leaf in graph.leaves(node_id):
        for pcoll in graph.node(leaf).outputs.values():
            if pcoll == given:
                continue
            coder = weave.plain_coder[pcoll]
            pair = graph.kv(coder)
            if pair is None:
                moved = coder if weave.takes_anything(coder) else None
            else:
                moved = _moved_coder(weave, pair[1], form, pcoll in shuffled)
                moved = None if moved is None else graph.coder(KV_URN, [pair[0], moved])
            if moved is None:
                return None
            changed[pcoll] = moved
    return changed


def _moved_coder(weave: WeaveState, coder: str, form: str, is_shuffled: bool) -> str | None:
    """Returns the coder of a value inside of a reshuffle with the moved element in a form."""
    graph = weave.graph
    found = graph.parts.coders[coder]
    if not is_shuffled:
        return None if form == KEYED and graph.kv(coder) is None else weave.coder_in(form, coder)
    if found.spec.urn == ITERABLE_URN:
        (inner,) = found.component_coder_ids
        moved = _moved_coder(weave, inner, form, True)
        return None if moved is None else graph.coder(ITERABLE_URN, [moved])
    if is_reified(found) and found.component_coder_ids:
        first, *rest = found.component_coder_ids
        if form == KEYED and graph.kv(first) is None:
            return None
        return _with_components(weave, coder, [weave.coder_in(form, first), *rest])
    return coder if weave.takes_anything(coder) else None


def is_reified(coder: api.Coder) -> bool:
    """Returns whether a coder is of an element with its time or window beside it."""
    return coder.spec.urn in (
        KV_URN,
        python_urns.TUPLE_CODER,
        common_urns.coders.WINDOWED_VALUE.urn,
        common_urns.coders.PARAM_WINDOWED_VALUE.urn,
        "beam:coder:tuple:v1",
    )


def _with_components(weave: WeaveState, coder: str, components: list[str]) -> str:
    name = f"woven_{coder}_{components[0]}"
    made = weave.graph.parts.coders[name]
    if not made.spec.urn:
        made.spec.CopyFrom(weave.graph.parts.coders[coder].spec)
        made.component_coder_ids.extend(components)
    return name
