"""Weaving the pandas frames of Beam: reads of files as frames, and writes of frames and of rows as frames."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from apache_beam.internal import pickler
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.transforms.window import GlobalWindow

from beam_obs.io.reads.frame_reads import FrameRead, UnsplitFrameRead
from beam_obs.records.origin import Partition
from beam_obs.records.weave_report import WovenSource
from beam_obs.weaving.portable_graph import PAR_DO_URN
from beam_obs.weaving.weave_state import INPUTS, WeaveState
from beam_obs.woven.frame_lines import RowLines
from beam_obs.wrapper.element_forms import PLAIN, ROWS
from beam_obs.wrapper.stand_in_dofn import innermost

_MODULE = "apache_beam.dataframe.io"
_READ, _READ_ROWS = f"{_MODULE}._ReadFromPandas", f"{_MODULE}.ReadViaPandas"
_CREATE = "apache_beam.transforms.core.Create"


class FrameSink(NamedTuple):
    """How a sink writes frames.

    Args:
      lines: gives the lines that it writes of a frame; None where its records are no lines.
      converter: makes frames of the rows that enter it; None where frames do.
      writer: name of the method of pandas that writes.
      path: what the names of its files begin with; None where it does not tell.
    """

    lines: RowLines | None
    converter: Any
    writer: str
    path: str | None


def is_frame_read(weave: WeaveState, node_id: str) -> bool:
    """Returns whether a step is Beam's DoFn that reads files as frames."""
    return _is(innermost(weave.facts(node_id).dofn), "_ReadFromPandasDoFn")


def weave_frame_read(weave: WeaveState, node_id: str) -> None:
    """Puts a DoFn that knows the file in place of Beam's own."""
    node, facts = weave.graph.node(node_id), weave.facts(node_id)
    (given,) = node.outputs.values()
    label = node_id
    for above in weave.graph.ancestors(node_id):
        if weave.graph.python_type(above) in (_READ, _READ_ROWS):
            label = above
    label = weave.label(label)
    for tag, pcoll in list(node.inputs.items()):
        node.inputs[tag] = weave.needed(pcoll, PLAIN, node_id)
    form = weave.form_for(given)
    weave.set_form(given, form)
    splits = weave.settings.splits_reads
    kind = FrameRead if splits else UnsplitFrameRead
    dofn = kind(label, _pattern(weave, node_id), form, facts.dofn)
    _, *arguments = pickler.loads(facts.pickled)
    payload = facts.payload
    payload.do_fn.urn = python_urns.PICKLED_DOFN_INFO
    payload.do_fn.payload = pickler.dumps((dofn, *arguments))
    if not splits:
        payload.restriction_coder_id = ""
    node.spec.payload = payload.SerializeToString(deterministic=True)
    node.outputs[ROWS] = weave.rows_of(given, INPUTS, label)
    weave.says[node_id] = dofn.ends
    weave.report.sources.append(WovenSource(label, Partition(label, "", located=False)))
    weave.note_woven(node_id)


def frame_sink(weave: WeaveState, node_id: str) -> FrameSink | None:
    """Returns how a sink writes frames; None for a sink of another kind."""
    sink: Any = None
    converter = path = None
    for leaf in weave.graph.leaves(node_id):
        if weave.graph.node(leaf).spec.urn != PAR_DO_URN:
            continue
        dofn = innermost(weave.facts(leaf).dofn)
        converter = converter or getattr(dofn, "input_batch_converter", None)
        with contextlib.suppress(Exception):
            if hasattr(dofn, "sink_fn"):
                sink = dofn.sink_fn(None)
            elif hasattr(dofn, "file_naming_fn"):
                path = _path(dofn)
    if not _is(sink, "_WriteToPandasFileSink"):
        return None
    by_lines = sink.writer == "to_csv" or (sink.writer == "to_json" and sink.kwargs.get("lines"))
    lines = RowLines(sink.writer, tuple(sink.args), dict(sink.kwargs)) if by_lines else None
    return FrameSink(lines, converter, sink.writer, path)


def _is(found: Any, name: str) -> bool:
    """Returns whether something is of a class of Beam's frames, which are there where pandas is."""
    return type(found).__name__ == name and type(found).__module__ == _MODULE


def _path(dofn: Any) -> str:
    """Returns what the names of files begin with, of the DoFn of ``fileio`` that gives them their names."""
    folder, shard = str(dofn.path.get()), "-00000-of-00001"
    name = str(dofn.file_naming_fn(GlobalWindow(), None, 0, 1, "", None))
    prefix = name.partition(shard)[0]
    return f"{folder}/{prefix}" if folder else prefix


def _pattern(weave: WeaveState, node_id: str) -> str | None:
    """Returns the pattern of the files of a read, which a Create inside of it holds."""
    composites = (one for one in weave.graph.ancestors(node_id) if weave.graph.python_type(one) == _READ)
    for read in composites:
        for part in weave.graph.node(read).subtransforms:
            if weave.graph.python_type(part) == _CREATE:
                with contextlib.suppress(Exception):
                    (pattern,) = pickler.loads(_spec(weave, part).payload).values
                    return str(pattern) if isinstance(pattern, str) else None
    return None


def _spec(weave: WeaveState, node_id: str) -> api.FunctionSpec:
    return weave.original.components.transforms[node_id].spec
