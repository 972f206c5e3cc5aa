"""Counting what steps that bring elements together take and give: so what is dropped or lost is found."""

from __future__ import annotations

from typing import Any

from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.transforms.trigger import AccumulationMode, AfterWatermark, DefaultTrigger
from apache_beam.transforms.window import GlobalWindows

from beam_obs.records.weave_report import Gathering
from beam_obs.weaving.portable_graph import PAR_DO_URN
from beam_obs.weaving.units import GROUP_INTO_BATCHES, HOT_KEYS
from beam_obs.weaving.weave_state import WINDOW_COUNTS, WeaveState
from beam_obs.woven.gathered import WINDOWS, CountWindowsDoFn
from beam_obs.wrapper.element_forms import SEED
from beam_obs.wrapper.stand_in_dofn import innermost
from beam_obs.wrapper.user_callable import MAP, MAP_TUPLE, user_callable
from beam_obs.wrapper.woven_step import RANDOM_BYTES

ACCUMULATES = "its panes hold records of those before them"
OVERLAPS = "a record may be in several of its windows"
MAY_BE_LATE = "a record may be late for its window"
NO_RECORDS = "what it takes comes from no source"


def counts_windows(weave: WeaveState, taken: str) -> bool:
    """Returns whether a step that groups a PCollection counts by window, since some may come too late."""
    return weave.settings.evidence is not None and _may_be_late(weave, taken)


def noted_least(weave: WeaveState) -> bytes | None:
    """Returns which origins are noted by window: the least of their hashes; None where none are."""
    least = weave.filtered_least
    return None if least is None else least.to_bytes(RANDOM_BYTES, "big")


def _may_be_late(weave: WeaveState, taken: str) -> bool:
    """Returns whether an element may be: what is bounded never is, nor is what is in the global window."""
    return weave.graph.parts.pcollections[taken].is_bounded != api.IsBounded.BOUNDED and not isinstance(
        weave.windowing(taken).windowfn, GlobalWindows
    )


def count_windows_before(weave: WeaveState, node_id: str, taken: str) -> str:
    """Puts a step before one that groups; returns the PCollection that it is to take."""
    label = weave.label(node_id)
    passed = weave.new_pcollection(taken, f"counted_for_{node_id}", weave.form(taken))
    counts = weave.counted_before[node_id] = weave.insert_dofn(
        node_id,
        f"{label}/beam_obs:windows",
        CountWindowsDoFn(weave.form(taken), noted_least(weave)),
        taken,
        {"None": passed, WINDOWS: weave.rows_of(taken, WINDOW_COUNTS, label)},
        before=True,
    )
    weave.passing.add(counts)
    return passed


def note_gathering(
    weave: WeaveState,
    node_id: str,
    taken: str,
    counting: str,
    counts_late: bool = True,
    counts_inputs: bool = False,
    holds_each_once: bool = False,
) -> None:
    """Notes that the elements in what a step gives are counted.

    Args:
      weave: the weave.
      node_id: the step.
      taken: what it takes.
      counting: id of the step that counts.
      counts_late: whether it counts by window where it must.
      counts_inputs: whether it counts what the step took, of hot keys too, and not what that was made of.
      holds_each_once: whether the step gives each element in one pane, whatever the windowing says.
    """
    parent = weave.graph.parents.get(node_id)
    is_part = parent is not None and weave.graph.python_type(parent) == GROUP_INTO_BATCHES
    weave.report.gatherings.append(
        Gathering(
            weave.label(parent if is_part and parent is not None else node_id),
            tuple(_counted_before(weave, node_id, taken, counts_inputs)),
            (counting, weave.label(counting), *_names_before(weave, node_id)),
            "" if holds_each_once else obstacle_to_gather(weave, taken, counts_late),
            counts_late and counts_windows(weave, taken),
            not holds_each_once and gives_at_end(weave.windowing(taken).triggerfn),
        )
    )


def gives_at_end(trigger: Any) -> bool:
    """Returns whether nothing of a window is given before it is over."""
    if isinstance(trigger, AfterWatermark):
        return trigger.early is None
    return isinstance(trigger, DefaultTrigger)


def _names_before(weave: WeaveState, node_id: str) -> tuple[str, ...]:
    """Returns the names of the step that counts what a step takes; of none where nothing does."""
    before = weave.counted_before.get(node_id)
    return () if before is None else (before, weave.label(before))


def obstacle_to_gather(weave: WeaveState, taken: str, counts_late: bool) -> str:
    """Returns why what a step takes that groups cannot be held against its groups, or an empty text."""
    windowing = weave.windowing(taken)
    by_window = counts_late and counts_windows(weave, taken)
    if not by_window and _may_be_late(weave, taken):
        return MAY_BE_LATE
    if weave.form(taken) == SEED:
        return NO_RECORDS
    has_one_pane = isinstance(windowing.triggerfn, DefaultTrigger) and windowing.allowed_lateness == 0
    if windowing.accumulation_mode != AccumulationMode.DISCARDING and not has_one_pane:
        return ACCUMULATES
    # Beam counts an element once, however many windows it is in.
    if not by_window and not is_in_one_window(windowing.windowfn):
        return OVERLAPS
    return ""


def taken_as_whole(weave: WeaveState, node_id: str, taken: str) -> str:
    """Returns what a step takes that groups, or what the combine with hot keys around it takes: half of what
    is inside of that comes summed up."""
    for one in weave.graph.ancestors(node_id):
        if weave.graph.python_type(one) == HOT_KEYS:
            (taken,) = weave.graph.node(one).inputs.values()
    return taken


def _counted_before(weave: WeaveState, node_id: str, taken: str, counts_inputs: bool) -> list[str]:
    """Returns PCollections that have as many elements as what a step takes, as far outside as can be told.

    Steps in the same composite that give one for each, and those that bring PCollections together, are
    passed: an edge of the report ends at the composite.
    """
    graph, parts = weave.graph, weave.original.components
    above = set(graph.ancestors(node_id)) - set(graph.proto.root_transform_ids)
    for one in above:
        if graph.python_type(one) == HOT_KEYS and not counts_inputs:  # half of what is inside comes summed up
            return list(parts.transforms[one].inputs.values())
    found: list[str] = []
    todo = [taken]
    while todo:
        pcoll = todo.pop()
        leaf = graph.producers.get(pcoll)
        inputs = None
        if leaf is not None and above & set(graph.ancestors(leaf)):
            inputs = _inputs_of_as_many(weave, leaf)
        if inputs is None:
            found.append(pcoll)
        else:
            todo.extend(inputs)
    return found


def _inputs_of_as_many(weave: WeaveState, leaf: str) -> list[str] | None:
    """Returns what a step takes that gives one for each; None where it may give more or fewer."""
    node = weave.original.components.transforms[leaf]
    if node.spec.urn == common_urns.primitives.FLATTEN.urn:
        return list(node.inputs.values())
    # A step under guard gives nothing of what it refuses.
    if node.spec.urn != PAR_DO_URN or len(node.outputs) > 1:
        return None
    facts = weave.facts(leaf)
    (main,) = [pcoll for tag, pcoll in node.inputs.items() if tag not in facts.payload.side_inputs]
    is_key = facts.payload.do_fn.urn == python_urns.KEY_WITH_NONE_DOFN
    if not is_in_one_window(weave.windowing(main).windowfn) or not (
        is_key or (facts.obstacle is None and user_callable(innermost(facts.dofn)).kind in (MAP, MAP_TUPLE))
    ):
        return None
    return [main]


def is_in_one_window(window_fn: Any) -> bool:
    """Returns whether a function of windows puts each element into one."""
    return type(window_fn).__name__ in ("GlobalWindows", "FixedWindows", "Sessions")
