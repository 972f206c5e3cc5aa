"""Weaving Beam's own reads of files: what reads is replaced by what reads the same and knows the places."""

from __future__ import annotations

from typing import Any

from apache_beam.internal import pickler
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.beam_private import ReadRange
from beam_obs.io.reads.beam_reads import LocatedRangeRead, LocatedRead, PassOnBlocks, UnsplitLocatedRead
from beam_obs.io.reads.text_blocks import reads_in_blocks
from beam_obs.records.known_partitions import ANY_RUN
from beam_obs.records.origin import Partition
from beam_obs.records.run_context import RunContext
from beam_obs.records.weave_report import SOURCE, WovenSource
from beam_obs.weaving import units
from beam_obs.weaving.ledger_edges import tally_step
from beam_obs.weaving.portable_graph import PAR_DO_URN
from beam_obs.weaving.span_ways import traced_source
from beam_obs.weaving.weave_state import INPUTS, WeaveState
from beam_obs.woven.source_origins import BY_CONTENT, SourceOrigins
from beam_obs.wrapper.element_forms import LISTED, ROWS

_OF_BEAM = "apache_beam.io."


def weave_located_read(weave: WeaveState, node_id: str) -> None:
    """Puts a DoFn that knows places in place of Beam's own for bounded sources."""
    graph = weave.graph
    *_, reading = [leaf for leaf in graph.leaves(node_id) if graph.node(leaf).spec.urn == PAR_DO_URN]
    in_blocks = reads_in_blocks(units.source_of_read(graph, node_id))
    # A runner that has a read of its own would give plain records.
    graph.node(node_id).spec.Clear()
    graph.node(node_id).spec.urn = python_urns.GENERIC_COMPOSITE_TRANSFORM
    (given,) = graph.node(reading).outputs.values()
    label, source = _label_and_source(weave, node_id, given)
    form = weave.form_for(given)
    weave.set_form(given, form)
    kind = LocatedRead if weave.settings.splits_reads else UnsplitLocatedRead
    leaves = graph.leaves(node_id)
    if in_blocks:
        blocks = _in_blocks(weave, reading, given)
        _replace(weave, reading, kind(label, LISTED, source), blocks, label, given)
        passing, outputs = PassOnBlocks(form), {"None": given}
        tally_step(weave, passing, label, given, outputs, SOURCE)
        weave.insert_dofn(reading, f"{weave.label(reading)}/beam_obs:lines", passing, blocks, outputs)
    else:
        _replace(weave, reading, kind(label, form, source), given, label, given)
    if not weave.settings.splits_reads:
        _forget_restrictions(weave, reading)
    for leaf in leaves:
        weave.note_woven(leaf)


def weave_range_read(weave: WeaveState, node_id: str) -> None:
    """Puts a DoFn that knows places in place of Beam's own for ranges of files."""
    node, facts = weave.graph.node(node_id), weave.facts(node_id)
    (taken,) = node.inputs.values()
    (given,) = node.outputs.values()
    label, source = _label_and_source(weave, node_id, given)
    takes, form = weave.form(taken), weave.form_for(given)
    weave.set_form(given, form)
    _replace(weave, node_id, LocatedRangeRead(label, takes, form, source, facts.dofn), given, label, given)
    weave.note_woven(node_id)


def is_range_read(weave: WeaveState, node_id: str) -> bool:
    """Returns whether a step is Beam's DoFn that reads ranges of files, and its ranges have provenances."""
    (taken,) = list(weave.graph.node(node_id).inputs.values())[:1]
    return reads_ranges(weave, node_id) and weave.is_woven(taken)


def reads_ranges(weave: WeaveState, node_id: str) -> bool:
    """Returns whether a step is Beam's DoFn that reads ranges of files."""
    return type(weave.facts(node_id).dofn) is ReadRange


def _replace(weave: WeaveState, node_id: str, dofn: Any, given: str, label: str, records: str) -> None:
    node = weave.graph.node(node_id)
    dofn.traced = traced_source(weave, records)
    node.outputs[ROWS] = weave.rows_of(given, INPUTS, label)
    evidence = weave.settings.evidence
    dofn.run = evidence.run if isinstance(evidence, RunContext) else ANY_RUN
    if weave.is_woven(given):
        outputs = dict(node.outputs)
        tally_step(weave, dofn, label, given, outputs, SOURCE)
        node.outputs.update(outputs)
    payload = api.ParDoPayload.FromString(node.spec.payload)
    payload.do_fn.urn = python_urns.PICKLED_DOFN_INFO
    payload.do_fn.payload = pickler.dumps((dofn, (), {}, None, None))
    node.spec.payload = payload.SerializeToString()
    weave.says[node_id] = dofn.ends


def _in_blocks(weave: WeaveState, reading: str, given: str) -> str:
    """Lets a step that reads give blocks of what it gave; returns their PCollection."""
    graph = weave.graph
    blocks = graph.add_pcollection(given, "blocks", weave.any_coder())
    graph.replace_output(reading, given, blocks)
    weave.forms[blocks], weave.plain_coder[blocks] = LISTED, weave.any_coder()
    return blocks


def _forget_restrictions(weave: WeaveState, node_id: str) -> None:
    node = weave.graph.node(node_id)
    payload = api.ParDoPayload.FromString(node.spec.payload)
    payload.restriction_coder_id = ""
    node.spec.payload = payload.SerializeToString()


def label_of_read(weave: WeaveState, node_id: str) -> str:
    """Returns the label by which a read is known: that of the outermost composite of Beam's around it."""
    label = weave.label(node_id)
    for above in weave.graph.ancestors(node_id):
        if weave.graph.python_type(above).startswith(_OF_BEAM):
            label = weave.label(above)
    return label


def _label_and_source(weave: WeaveState, node_id: str, given: str) -> tuple[str, SourceOrigins]:
    label = label_of_read(weave, node_id)
    partition = Partition(label, "", located=False)
    weave.report.sources.append(WovenSource(label, partition))
    return label, SourceOrigins(BY_CONTENT, partition, {None: weave.coder_object(weave.plain_coder[given])})
