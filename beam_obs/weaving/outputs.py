"""Where lineage ends: sinks, steps that nobody takes from, and what the output index notes of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from apache_beam.options.value_provider import StaticValueProvider
from apache_beam.transforms.window import GlobalWindows

from beam_obs.beam_private import TextSink, TFRecordSink
from beam_obs.records.weave_report import SINK as SINK_OF_LEDGER
from beam_obs.records.weave_report import WovenSink
from beam_obs.traces.traced_step import TracedStep
from beam_obs.weaving import units
from beam_obs.weaving.frames import FrameSink, frame_sink
from beam_obs.weaving.ledger_edges import note_taken, tally_step
from beam_obs.weaving.portable_graph import PAR_DO_URN
from beam_obs.weaving.units import Unit, is_internal
from beam_obs.weaving.weave_state import OUTPUTS, WeaveState
from beam_obs.woven.frame_lines import FrameIndexDoFn, WindowedFrameIndexDoFn
from beam_obs.woven.output_index import IndexDoFn
from beam_obs.wrapper.element_forms import PLAIN, ROWS
from beam_obs.wrapper.refusal import DEAD_TAG, EVIDENCE_TAG
from beam_obs.wrapper.role import SINK, WRITE
from beam_obs.wrapper.stand_in_dofn import innermost
from beam_obs.wrapper.step_tally import LEDGER_TAG
from beam_obs.wrapper.woven_step import stamps

_TESTING = "apache_beam.testing."
_NAMES_OF_DATA = ("file_pattern", "file_path_prefix", "file_path", "path", "table", "topic", "sink_table")
_SHARD = re.compile(r"-?%\(\w+\)")
_OF_OURS = frozenset({DEAD_TAG, EVIDENCE_TAG})
_AGGREGATES = frozenset({units.GROUP, units.COMBINE, units.COMBINE_BY_HAND})


def weave_sink(weave: WeaveState, node_id: str) -> None:
    """A sink runs as it is, on plain elements; what enters it is noted in the output index."""
    graph, label = weave.graph, sink_label(weave, node_id)
    encode, frames = _encoder(weave, node_id), frame_sink(weave, node_id)
    mains = [pcoll for pcoll in graph.taken_from_outside(node_id) if not _is_beside(weave, node_id, pcoll)]
    if not any(weave.is_woven(pcoll) for pcoll in mains):
        weave.note_no_origin(node_id)
    elif frames is not None and frames.lines is None:
        weave.note_opaque(node_id, f"what {frames.writer} of pandas makes of a record is not known")
    else:
        weave.note_woven(node_id)
    is_known = frames is None or frames.lines is not None
    for pcoll in graph.taken_from_outside(node_id):
        if not weave.is_woven(pcoll):
            continue
        if pcoll not in mains or not is_known:
            graph.replace_input(node_id, pcoll, weave.needed(pcoll, PLAIN, node_id), whole=True)
            continue
        traced = None if frames is not None else _traced_sink(weave, node_id, pcoll)
        if not weave.indexes_outputs:
            graph.replace_input(node_id, pcoll, _entering(weave, node_id, pcoll, traced), whole=True)
            continue
        plain = weave.new_pcollection(pcoll, f"plain_for_{node_id}", PLAIN)
        rows = weave.rows_of(plain, OUTPUTS, label)
        name = f"{weave.label(node_id)}/beam_obs:index"
        if frames is None:
            dofn: Any = _index(weave, pcoll, encode, passes_on=True)
            dofn.traced = traced
        else:
            dofn = _index_of_frames(weave, pcoll, frames)
        _insert_index(weave, node_id, name, dofn, pcoll, {"None": plain, ROWS: rows}, label)
        graph.replace_input(node_id, pcoll, plain, whole=True)
    _note_written(weave, node_id)
    uri = frames.path if frames is not None and frames.path else _uri(weave, node_id)
    weave.report.sinks.append(WovenSink(label, uri, _is_stamped(weave, node_id)))


def pass_evidence(weave: WeaveState, node_id: str) -> None:
    """Steps that keep evidence run as they are, on plain elements."""
    graph = weave.graph
    for pcoll in graph.taken_from_outside(node_id):
        if weave.is_woven(pcoll):
            graph.replace_input(node_id, pcoll, weave.needed(pcoll, PLAIN, node_id), whole=True)
    _note_written(weave, node_id)


def is_end(weave: WeaveState, node_id: str) -> bool:
    """Returns whether nobody takes what a ParDo gives, but for evidence: its records end in it."""
    outputs = {
        tag: pcoll
        for tag, pcoll in weave.graph.node(node_id).outputs.items()
        if tag not in (*_OF_OURS, ROWS, LEDGER_TAG)
    }
    return not is_internal(weave.graph, node_id) and not any(
        _is_taken(weave, pcoll) for pcoll in outputs.values()
    )


def index_end(weave: WeaveState, unit: Unit) -> None:
    """Notes what enters a unit that nobody takes from, and what else it gives that nobody takes."""
    if not weave.indexes_outputs:
        return
    if unit.kind in (units.OURS, units.SINK, units.NOTHING) or unit.kind in _AGGREGATES:
        return
    if _is_of_a_test(weave, unit.node):
        return
    label = weave.shown_label(unit.node)
    if unit.node in weave.ends:
        _add_index(weave, unit.node, weave.ends[unit.node], label, before=True)
        return
    for pcoll in weave.graph.given_by(unit.node):
        tag = weave.tags[pcoll]
        if tag in _OF_OURS or not weave.is_woven(pcoll) or _is_taken(weave, pcoll):
            continue
        if _is_shown(weave, unit.node, pcoll):
            _add_index(weave, unit.node, pcoll, label if tag == "None" else f"{label}[{tag}]")


def sink_label(weave: WeaveState, node_id: str) -> str:
    """Returns the label by which a run knows a sink: that of our own write around it, where there is one."""
    label = weave.label(node_id)
    for above in weave.graph.ancestors(node_id):
        if weave.graph.role(above) in (WRITE, SINK):
            label = weave.label(above)
    return label


# Parts.


def _add_index(weave: WeaveState, node_id: str, pcoll: str, label: str, before: bool = False) -> None:
    rows = weave.rows_of(pcoll, OUTPUTS, label)
    dofn = _index(weave, pcoll, None, passes_on=False)
    name = f"{weave.label(node_id)}/beam_obs:index"
    # What ends there was counted where it came in, or left.
    weave.insert_dofn(node_id, name, dofn, pcoll, {"None": rows}, before=before)
    weave.report.ends.append(label)


def _traced_sink(weave: WeaveState, node_id: str, pcoll: str) -> TracedStep | None:
    """Returns how the records that enter a sink are traced; None where they are not.

    In a write of ours the step that stamps records has its label. Of messages that is the one that counts.
    """
    if any(weave.graph.role(above) == WRITE for above in weave.graph.ancestors(node_id)):
        if "pubsub" in weave.graph.python_type(node_id):
            return None
        return weave.traced_step(weave.label(node_id), pcoll)
    return weave.traced_step(sink_label(weave, node_id), pcoll)


def _entering(weave: WeaveState, node_id: str, pcoll: str, traced: TracedStep | None) -> str:
    """Returns what a sink takes where its records are not noted, but may be traced."""
    if traced is None:
        return weave.needed(pcoll, PLAIN, node_id)
    plain = weave.new_pcollection(pcoll, f"plain_for_{node_id}", PLAIN)
    dofn = IndexDoFn(weave.form(pcoll), share=0.0)
    dofn.traced = traced
    name = f"{weave.label(node_id)}/beam_obs:spans"
    weave.passing.add(weave.insert_dofn(node_id, name, dofn, pcoll, {"None": plain}, before=True))
    return plain


def _insert_index(
    weave: WeaveState,
    node_id: str,
    name: str,
    dofn: Any,
    taken: str,
    outputs: dict[str, str],
    label: str,
) -> None:
    """Puts in what notes records that enter a sink, counted for the ledger."""
    counts = isinstance(dofn, IndexDoFn)
    if counts:
        told_by = weave.windows_told.get(taken, 0)
        tally_step(weave, dofn, label, None, outputs, SINK_OF_LEDGER, told_by, taken)
    made = weave.insert_dofn(node_id, name, dofn, taken, outputs, before=True)
    if counts and dofn.points is not None:
        note_taken(weave, made, dofn.points, taken, label)


def _index(
    weave: WeaveState, pcoll: str, encode: Callable[[Any], bytes] | None, passes_on: bool
) -> IndexDoFn:
    is_global = isinstance(weave.windowing(pcoll).windowfn, GlobalWindows)
    return IndexDoFn(weave.form(pcoll), encode, weave.settings.output_share, is_global, passes_on)


def _index_of_frames(weave: WeaveState, pcoll: str, frames: FrameSink) -> FrameIndexDoFn:
    is_global = isinstance(weave.windowing(pcoll).windowfn, GlobalWindows)
    kind = FrameIndexDoFn if is_global else WindowedFrameIndexDoFn
    assert frames.lines is not None
    return kind(weave.form(pcoll), frames.lines, frames.converter, weave.settings.output_share)


def _is_taken(weave: WeaveState, pcoll: str) -> bool:
    return any(
        weave.unit_of[leaf].kind not in (units.OURS, units.NOTHING)
        for leaf in weave.graph.consumers.get(pcoll, ())
    )


def _is_shown(weave: WeaveState, node_id: str, pcoll: str) -> bool:
    """Returns whether a PCollection can be seen by the user: it is not hidden in a composite of Beam's."""
    if not is_internal(weave.graph, node_id):
        return True
    of_beam = [
        above
        for above in weave.graph.ancestors(node_id)
        if weave.graph.python_type(above).startswith("apache_beam.")
    ]
    return pcoll in weave.graph.node(of_beam[-1]).outputs.values()


def _is_of_a_test(weave: WeaveState, node_id: str) -> bool:
    return any(
        weave.graph.python_type(above).startswith(_TESTING) for above in weave.graph.ancestors(node_id)
    )


def _note_written(weave: WeaveState, node_id: str) -> None:
    for leaf in weave.graph.leaves(node_id):
        weave.written.update(weave.graph.node(leaf).outputs.values())


def _is_beside(weave: WeaveState, node_id: str, pcoll: str) -> bool:
    """Returns whether a sink takes a PCollection as a side input only."""
    graph = weave.graph
    for leaf in graph.leaves(node_id):
        node = graph.node(leaf)
        beside = weave.facts(leaf).payload.side_inputs if node.spec.urn == PAR_DO_URN else {}
        if any(taken == pcoll and tag not in beside for tag, taken in node.inputs.items()):
            return False
    return True


def _encoder(weave: WeaveState, node_id: str) -> Callable[[Any], bytes] | None:
    """Returns what makes the bytes of a record, where a sink of Beam's tells and they are read back."""
    for leaf in weave.graph.leaves(node_id):
        if weave.graph.node(leaf).spec.urn == PAR_DO_URN:
            sink = getattr(weave.facts(leaf).dofn, "sink", None)
            if isinstance(sink, (TextSink, TFRecordSink)):
                encode: Callable[[Any], bytes] = sink.coder.encode
                return encode
    return None


def _uri(weave: WeaveState, node_id: str) -> str | None:
    """Returns where a sink of Beam's writes to, as its display data tells: of files what comes before the
    shard. A write of ours tells the run itself."""
    if any(weave.graph.role(above) == WRITE for above in weave.graph.ancestors(node_id)):
        return None
    uri = weave.graph.displayed(node_id, _NAMES_OF_DATA)
    if uri is None:
        return _path_of_files(weave, node_id)
    return _SHARD.split(uri, maxsplit=1)[0]


def _path_of_files(weave: WeaveState, node_id: str) -> str | None:
    """Returns the folder of Beam's write of files of several destinations, which has no display data."""
    for leaf in weave.graph.leaves(node_id):
        if weave.graph.node(leaf).spec.urn == PAR_DO_URN:
            path = getattr(weave.facts(leaf).dofn, "path", None)
            if isinstance(path, StaticValueProvider):
                return str(path.get())
    return None


def _is_stamped(weave: WeaveState, node_id: str) -> bool:
    """Returns whether a write of ours stamps its records with their lineage."""
    for above in weave.graph.ancestors(node_id):
        if weave.graph.role(above) == WRITE:
            return any(
                stamps(innermost(weave.facts(leaf).dofn))
                for leaf in weave.graph.leaves(above)
                if leaf in weave.unit_of and weave.unit_of[leaf].kind == units.PAR_DO
            )
    return False
