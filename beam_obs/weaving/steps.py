"""Weaving the steps that take elements one by one: ParDos, Flatten, WindowInto, and sources."""

from __future__ import annotations

import dataclasses
from typing import Any

from apache_beam.internal import pickler
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.transforms.window import WindowFn
from apache_beam.utils import proto_utils
from google.protobuf import wrappers_pb2  # type: ignore[import-untyped, unused-ignore]

from beam_obs.records.lineage_rows import STATE
from beam_obs.records.origin import Partition
from beam_obs.records.run_context import RunContext
from beam_obs.records.weave_report import NO_ORIGIN, SOURCE, WovenSource
from beam_obs.weaving import units
from beam_obs.weaving.gatherings import note_gathering
from beam_obs.weaving.ledger_edges import (
    has_windows,
    note_points,
    note_taken,
    points_of,
    settle_points,
    tally_step,
    tally_windowing,
)
from beam_obs.weaving.message_reads import messages_read
from beam_obs.weaving.outputs import is_end
from beam_obs.weaving.par_do import ParDoFacts
from beam_obs.weaving.portable_graph import PAR_DO_URN
from beam_obs.weaving.shown_sources import puts_in_default
from beam_obs.weaving.span_ways import traced_source
from beam_obs.weaving.units import is_internal, source_label
from beam_obs.weaving.weave_state import DERIVATIONS, FILTERED, WeaveState
from beam_obs.woven.inserted_steps import BatchedDoFn, OfWoven, SupersetDoFn, WindowedSupersetDoFn
from beam_obs.woven.plain_values import PlainView
from beam_obs.woven.source_origins import (
    BY_CONTENT,
    BY_INDEX,
    NOT_A_SOURCE,
    TOLD,
    SourceOrigins,
    StampDoFn,
    TellingPayload,
    passes_blocks,
)
from beam_obs.woven.state import HISTORY
from beam_obs.woven.step_settings import WovenSettings
from beam_obs.woven.window_fn import WovenWindowFn
from beam_obs.woven.woven_dofn import WovenDoFn
from beam_obs.woven.woven_payload import WovenPayload
from beam_obs.wrapper.element_forms import KEYED, LISTED, PLAIN, ROWS, SEED, WOVEN, Ends
from beam_obs.wrapper.refusal import DEAD_TAG
from beam_obs.wrapper.stand_in_dofn import innermost
from beam_obs.wrapper.user_callable import MAP, MAP_TUPLE, user_callable

_STANDARD_WINDOWS = frozenset(
    {
        common_urns.global_windows.urn,
        common_urns.fixed_windows.urn,
        common_urns.sliding_windows.urn,
        common_urns.session_windows.urn,
    }
)


def weave_impulse(weave: WeaveState, node_id: str) -> None:
    """An Impulse starts sources; it is no record."""
    for pcoll in weave.graph.node(node_id).outputs.values():
        weave.set_form(pcoll, SEED)


def weave_beginning(weave: WeaveState, node_id: str) -> None:
    """What a read begins with runs as it is; nothing in it is a record."""
    for leaf in weave.graph.leaves(node_id):
        for pcoll in weave.graph.node(leaf).outputs.values():
            weave.forms[pcoll] = SEED
    weave.note_woven(node_id)


def weave_par_do(weave: WeaveState, node_id: str) -> None:
    """Puts the woven DoFn in place of the user's."""
    graph, node = weave.graph, weave.graph.node(node_id)
    facts = weave.facts(node_id)
    beside = set(facts.payload.side_inputs)
    (main,) = [pcoll for tag, pcoll in node.inputs.items() if tag not in beside]
    takes = weave.form(main)
    if takes == PLAIN:
        leave_as_it_is(weave, node_id, NO_ORIGIN)
        return
    if takes != SEED and is_end(weave, node_id):
        weave.ends[node_id] = main
    if takes == SEED and facts.passes_seeds:
        for pcoll in node.outputs.values():
            weave.set_form(pcoll, SEED)
        if hasattr(facts.dofn, "tell_origins"):
            facts.payload.do_fn.payload = pickler.dumps(TellingPayload(facts.pickled))
            node.spec.payload = facts.payload.SerializeToString()
        weave.says[node_id] = Ends(SEED, SEED, dict.fromkeys(node.outputs, SEED))
        weave.note_woven(node_id)
        return
    if facts.payload.do_fn.urn == python_urns.KEY_WITH_NONE_DOFN and _key_with_none(weave, node_id, main):
        return
    obstacle = facts.obstacle
    if obstacle is None and facts.is_stateful and (takes == SEED or not weave.can_be_keyed(main)):
        obstacle = "it has state, and its input's coder is not of pairs"
    has_batches = facts.takes_batches or facts.gives_batches
    if obstacle is None and has_batches and (takes == SEED or "None" not in node.outputs):
        obstacle = "it takes or gives batches, and is a source"
    if obstacle is not None:
        leave_as_it_is(weave, node_id, obstacle)
        return
    if facts.is_batching:
        _weave_batching(weave, node_id, facts, main)
        return
    if facts.is_stateful:
        takes = KEYED
    settings = _settings(weave, node_id, facts, main, takes)
    if node_id not in weave.ends and _may_give_nothing(facts, settings):
        settings = dataclasses.replace(settings, filtered_least=weave.filtered_least)
    points = points_of(weave, node_id, facts)
    settings = dataclasses.replace(settings, points=points)
    try:
        woven = WovenDoFn(facts.dofn, facts.args, facts.kwargs, settings)
    except Exception as error:
        leave_as_it_is(weave, node_id, f"it cannot be wrapped: {error}")
        return
    settings = dataclasses.replace(settings, points=settle_points(points, woven, facts))
    taken = weave.needed(main, takes, node_id)
    woven_beside: dict[str, str] = {}
    for tag, pcoll in list(node.inputs.items()):
        if tag not in beside:
            node.inputs[tag] = taken
        elif _views_values(weave, facts.payload.side_inputs[tag], pcoll, settings.defaults_to_side):
            node.inputs[tag] = weave.needed(pcoll, WOVEN, node_id)
            woven_beside[tag] = WOVEN
        else:
            node.inputs[tag] = weave.needed(pcoll, PLAIN, node_id)
    for tag, pcoll in sorted(node.outputs.items()):
        weave.set_form(pcoll, settings.gives if tag == "None" else settings.tags.get(tag, settings.gives))
    gathers = facts.holds_back or (facts.is_stateful and facts.remembers)
    if facts.is_stateful and gathers and not facts.passes_summaries and takes != SEED:
        for tag, pcoll in sorted(node.outputs.items()):
            if weave.form(pcoll) != PLAIN:
                _make_origins_behind(weave, node_id, tag, pcoll, main)
    elif gathers and not facts.passes_summaries and takes != SEED:
        rows = weave.rows_of(next(iter(sorted(node.outputs.values()))), DERIVATIONS, settings.label)
        # They are of a bundle, which has no window of its own.
        weave.put_in_global_window(rows)
        node.outputs[ROWS] = rows
    if facts.takes_batches or settings.is_inference:
        node.outputs[ROWS] = weave.rows_of(node.outputs["None"], DERIVATIONS, settings.label)
    if settings.filtered_least is not None:
        node.outputs[ROWS] = weave.rows_of(
            next(iter(sorted(node.outputs.values()))), FILTERED, settings.label
        )
    is_source = settings.source is not None and settings.source.kind != NOT_A_SOURCE
    if settings.points is not None:
        source = label_of_source(weave, node_id, facts) if is_source else None
        note_points(weave, node_id, settings.points, woven, source)
    if facts.keeps_batches:
        note_gathering(weave, node_id, main, node_id, counts_late=False)
    payload = facts.payload
    if facts.is_stateful:
        state = payload.state_specs[HISTORY]
        state.bag_spec.element_coder_id = graph.bytes_coder
        state.protocol.urn = common_urns.user_state.BAG.urn
    payload.do_fn.urn = python_urns.PICKLED_DOFN_INFO
    payload.do_fn.payload = pickler.dumps(WovenPayload(facts.pickled, settings))
    # The maps in it have an order of their own in each process.
    node.spec.payload = payload.SerializeToString(deterministic=True)
    weave.says[node_id] = settings.ends._replace(beside=woven_beside)
    if settings.source is not None and is_source:
        partition = None if settings.source.kind == TOLD else settings.source.partition
        label = settings.label if partition is None else partition.name
        weave.report.sources.append(WovenSource(label, partition))
    weave.note_woven(node_id)


def _views_values(weave: WeaveState, side_input: api.SideInput, pcoll: str, shows_pairs: bool) -> bool:
    """Returns whether a side input takes woven elements, and lets it show their values to the user's view.

    Args:
      weave: the weave.
      side_input: how it is viewed.
      pcoll: what is viewed.
      shows_pairs: whether the step takes provenances and values.
    """
    if shows_pairs:
        return True
    can_be = (
        weave.form(pcoll) == WOVEN
        and weave.settings.fuses_steps
        and side_input.access_pattern.urn == common_urns.side_inputs.ITERABLE.urn
        and side_input.view_fn.urn == python_urns.PICKLED_VIEWFN
    )
    if can_be:
        side_input.view_fn.payload = pickler.dumps(PlainView(side_input.view_fn.payload))
    return can_be


def _may_give_nothing(facts: ParDoFacts, settings: WovenSettings) -> bool:
    """Returns whether a step takes elements one by one, gives what it makes of each at once, and it may be
    nothing."""
    one_by_one = not (
        facts.is_stateful
        or facts.is_splittable
        or facts.holds_back
        or facts.takes_batches
        or facts.gives_batches
        or facts.is_inference
        or facts.combines_groups
        or facts.is_batching
        or facts.chooses
        or settings.source is not None
        or settings.defaults_to_side
    )
    return one_by_one and user_callable(innermost(facts.dofn)).kind not in (MAP, MAP_TUPLE)


def _key_with_none(weave: WeaveState, node_id: str, main: str) -> bool:
    """Beam's own key for global aggregates runs as it is: runners know it, and pack what follows.

    Of a woven element it makes the keyed form. Returns whether it was so.
    """
    node = weave.graph.node(node_id)
    (given,) = node.outputs.values()
    if not weave.is_woven(main) or not weave.wants_key.get(given):
        return False
    (tag,) = node.inputs
    node.inputs[tag] = weave.needed(main, WOVEN, node_id)
    weave.set_form(given, KEYED)
    weave.says[node_id] = Ends(WOVEN, KEYED)
    weave.note_woven(node_id)
    return True


def _make_origins_behind(weave: WeaveState, node_id: str, tag: str, pcoll: str, main: str) -> None:
    """Puts a step behind one that may give summaries in place of origins."""
    form, label = weave.form(pcoll), weave.shown_label(node_id)
    inside = weave.new_pcollection(pcoll, "summed", form)
    weave.graph.replace_output(node_id, pcoll, inside)
    rows = weave.rows_of(pcoll, DERIVATIONS, label)
    in_windows = has_windows(weave, pcoll)
    behind = WindowedSupersetDoFn if in_windows else SupersetDoFn
    dofn = behind(label, STATE, form, weave.settings.limit)
    dofn.traced = weave.traced_step(label, main)
    name = f"{weave.label(node_id)}/beam_obs:origins {tag}"
    outputs = {"None": pcoll, ROWS: rows}
    tally_step(weave, dofn, label, pcoll, outputs, told_by=None if in_windows else 0)
    weave.insert_dofn(node_id, name, dofn, inside, outputs)


def _settings(weave: WeaveState, node_id: str, facts: ParDoFacts, main: str, takes: str) -> WovenSettings:
    node = weave.graph.node(node_id)
    forms = {tag: _form_given(weave, facts, tag, pcoll) for tag, pcoll in node.outputs.items()}
    only = next(iter(forms)) if len(forms) == 1 else "None"
    windowing = weave.windowing(main)
    source = _source(weave, node_id, facts) if takes == SEED else None
    label = weave.shown_label(node_id)
    if source is None:
        traced = weave.traced_step(label, main)
        if traced is not None and facts.is_splittable:
            # Each part of an element is one for itself.
            traced = dataclasses.replace(traced, has_many=True)
    else:
        given = next(iter(node.outputs.values()), "")
        traced = None if source.kind == NOT_A_SOURCE else traced_source(weave, given)
    return WovenSettings(
        label=label,
        takes=takes,
        gives=forms.get("None", forms.get(only, WOVEN)),
        tags={tag: form for tag, form in forms.items() if tag != "None"},
        limit=weave.settings.limit,
        source=source,
        window_fn=None if _is_standard(windowing.windowfn, weave) else windowing.windowfn,
        passes_summaries=facts.passes_summaries,
        keeps_batches=facts.keeps_batches,
        traced=traced,
        is_inference=facts.is_inference and takes != SEED and weave.only_inference_takes(main),
        run=evidence if isinstance(evidence := weave.settings.evidence, RunContext) else None,
        defaults_to_side=(
            puts_in_default(weave.graph, node_id)
            and all(weave.is_woven(node.inputs[tag]) for tag in facts.payload.side_inputs)
        ),
    )


def _form_given(weave: WeaveState, facts: ParDoFacts, tag: str, pcoll: str) -> str:
    if facts.gives_batches:
        return WOVEN  # one converter of batches serves all outputs
    # What is refused has its origin in it.
    if tag == DEAD_TAG and weave.only_evidence_takes(pcoll):
        return PLAIN
    # Of what gathers its elements the origins are made behind it, and counted there.
    makes_each = not (facts.is_stateful or facts.holds_back)
    return PLAIN if makes_each and _only_views_take(weave, pcoll) else weave.form_for(pcoll)


def _only_views_take(weave: WeaveState, pcoll: str) -> bool:
    """Returns whether a PCollection is but viewed as a side input, of values: nobody asks for its origins.

    A runner and its worker hold all of a side input, and Beam weighs it object by object: an origin beside
    each value was half of what lineage took of memory on four months of flights (`benchmarks/flights.py`).
    """
    takers = [one for one in weave.graph.consumers.get(pcoll, ()) if weave.unit_of[one].kind != units.NOTHING]
    return weave.settings.fuses_steps and bool(takers) and all(_views(weave, one, pcoll) for one in takers)


def _views(weave: WeaveState, node_id: str, pcoll: str) -> bool:
    """Returns whether a step takes the values of a PCollection as a side input, and no elements of it."""
    node = weave.graph.node(node_id)
    if node.spec.urn != PAR_DO_URN or puts_in_default(weave.graph, node_id):
        return False
    beside = weave.facts(node_id).payload.side_inputs
    return all(tag in beside for tag, taken in node.inputs.items() if taken == pcoll)


def label_of_source(weave: WeaveState, node_id: str, facts: ParDoFacts) -> str:
    """Returns the label by which a source is known that a ParDo ends."""
    return weave.shown_label(node_id) if passes_blocks(facts.dofn) else source_label(weave.graph, node_id)


def _source(weave: WeaveState, node_id: str, facts: ParDoFacts) -> SourceOrigins:
    label = source_label(weave.graph, node_id)
    if is_internal(weave.graph, node_id) and node_id not in weave.shown_sources:
        return SourceOrigins(NOT_A_SOURCE, Partition(label, "", located=False), {})
    if passes_blocks(facts.dofn):
        return SourceOrigins(TOLD, Partition(label, "", located=False), {})
    if not facts.is_splittable:
        # What a Create holds can be had again from the program; what another step gives first, perhaps not.
        located = label != weave.label(node_id)
        return SourceOrigins(BY_INDEX, Partition(label, "", located), {})
    outputs = weave.graph.node(node_id).outputs
    coders = {
        None if tag == "None" else tag: weave.coder_object(weave.plain_coder[pcoll])
        for tag, pcoll in sorted(outputs.items())
    }
    return SourceOrigins(BY_CONTENT, Partition(label, "", located=False), coders)


def _is_standard(window_fn: WindowFn, weave: WeaveState) -> bool:
    return window_fn.to_runner_api(weave.context).urn in _STANDARD_WINDOWS


def _weave_batching(weave: WeaveState, node_id: str, facts: ParDoFacts, main: str) -> None:
    """Beam's own batching runs on woven elements; a step behind it sets the lists right."""
    node, dofn = weave.graph.node(node_id), facts.dofn
    takes = weave.form(main)
    if takes == SEED or list(node.outputs) != ["None"] or not hasattr(dofn, "_element_size_fn"):
        leave_as_it_is(weave, node_id, "it makes lists in a way that is not known")
        return
    dofn._element_size_fn = OfWoven(dofn._element_size_fn, takes)
    node.inputs["None"] = weave.needed(main, takes, node_id)
    given = node.outputs["None"]
    lists = weave.graph.add_pcollection(given, "lists", weave.any_coder())
    weave.graph.replace_output(node_id, given, lists)
    weave.forms[lists] = LISTED
    weave.plain_coder[lists] = weave.graph.coder_of(lists)
    payload = facts.payload
    payload.do_fn.payload = pickler.dumps((dofn, facts.args, facts.kwargs, None, None))
    node.spec.payload = payload.SerializeToString(deterministic=True)
    weave.says[node_id] = Ends(takes, LISTED)
    form = weave.form_for(given)
    weave.set_form(given, form)
    infers = weave.only_inference_takes(given)
    behind = BatchedDoFn(weave.label(node_id), form, takes, weave.settings.limit, infers)
    behind.traced = weave.traced_step(weave.shown_label(node_id), main)
    label = weave.label(node_id)
    outputs = {"None": given, ROWS: weave.rows_of(given, DERIVATIONS, label)}
    tally_step(weave, behind, label, given, outputs)
    made = weave.insert_dofn(node_id, f"{label}/beam_obs:origins", behind, lists, outputs)
    if behind.points is not None:
        note_taken(weave, made, behind.points, node.inputs["None"], label)
    weave.note_woven(node_id)


def weave_flatten(weave: WeaveState, node_id: str) -> None:
    """All inputs of a Flatten get the form of its output."""
    node = weave.graph.node(node_id)
    (given,) = node.outputs.values()
    forms = {weave.form(pcoll) for pcoll in node.inputs.values()}
    if node.inputs and not forms & {WOVEN, KEYED}:
        weave.set_form(given, SEED if forms == {SEED} else PLAIN)
        if PLAIN in forms:
            weave.note_no_origin(node_id)
        return
    form = weave.form_for(given)
    if not all(weave.can_be_keyed(pcoll) for pcoll in node.inputs.values()):
        form = WOVEN
    for tag, pcoll in list(node.inputs.items()):
        node.inputs[tag] = weave.needed(pcoll, form, node_id)
    weave.set_form(given, form)
    weave.note_woven(node_id)


def weave_window(weave: WeaveState, node_id: str) -> None:
    """Elements pass a WindowInto as they are; a WindowFn that may look at them sees them plain."""
    node = weave.graph.node(node_id)
    ((tag, pcoll),) = node.inputs.items()
    (given,) = node.outputs.values()
    if not weave.is_woven(pcoll):
        weave.set_form(given, weave.form(pcoll))
        if weave.form(pcoll) == PLAIN:
            weave.note_no_origin(node_id)
        return
    form = weave.form_for(given) if weave.can_be_keyed(pcoll) else WOVEN
    node.inputs[tag] = weave.needed(pcoll, form, node_id)
    weave.set_form(given, form)
    if tally_windowing(weave, node_id, form):
        weave.note_woven(node_id)
        return
    strategy = proto_utils.parse_Bytes(node.spec.payload, api.WindowingStrategy)
    if strategy.window_fn.urn not in _STANDARD_WINDOWS:
        window_fn = WindowFn.from_runner_api(strategy.window_fn, weave.context)
        woven = WovenWindowFn(window_fn, form)
        strategy.window_fn.payload = wrappers_pb2.BytesValue(value=pickler.dumps(woven)).SerializeToString()
        strategy.window_fn.urn = python_urns.PICKLED_WINDOWFN
        node.spec.payload = strategy.SerializeToString()
        weave.says[node_id] = Ends(form, form)
    weave.note_woven(node_id)


def weave_source(weave: WeaveState, node_id: str) -> None:
    """A source of Beam's own runs as it is; its records are stamped where they leave it."""
    graph = weave.graph
    label = weave.label(node_id)
    is_source = not is_internal(graph, node_id) or node_id in weave.shown_sources
    partition = Partition(label, "", located=False)
    messages = messages_read(weave, node_id)
    for pcoll in graph.given_outside(node_id):
        inside = weave.new_pcollection(pcoll, "unstamped", PLAIN)
        graph.replace_output(node_id, pcoll, inside)
        graph.replace_input(node_id, pcoll, inside, whole=True)
        form = weave.form_for(pcoll)
        weave.set_form(pcoll, form)
        coders: dict[str | None, Any] = {None: weave.coder_object(weave.plain_coder[pcoll])}
        source = SourceOrigins(BY_CONTENT if is_source else NOT_A_SOURCE, partition, coders, *messages)
        stamping, outputs = StampDoFn(source, form), {"None": pcoll}
        stamping.traced = traced_source(weave, pcoll) if is_source else None
        tally_step(weave, stamping, label, pcoll, outputs, SOURCE if is_source else "")
        weave.insert_dofn(node_id, f"{label}/beam_obs:origins", stamping, inside, outputs)
    if is_source:
        weave.report.sources.append(WovenSource(label, partition))
        if messages.partition is not None:
            weave.report.sources.append(WovenSource(label, messages.partition))
    weave.note_woven(node_id)


def leave_as_it_is(weave: WeaveState, node_id: str, reason: str) -> None:
    """Lets a unit run as it is, on plain elements; what it gives has no origin."""
    graph = weave.graph
    if reason == NO_ORIGIN:
        weave.note_no_origin(node_id)
    else:
        weave.note_opaque(node_id, reason)
    for pcoll in graph.taken_from_outside(node_id):
        graph.replace_input(node_id, pcoll, weave.needed(pcoll, PLAIN, node_id), whole=True)
    for leaf in graph.leaves(node_id):
        for pcoll in graph.node(leaf).outputs.values():
            weave.forms.setdefault(pcoll, PLAIN)
