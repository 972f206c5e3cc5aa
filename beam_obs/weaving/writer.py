"""The way of evidence out of a woven pipeline: rows to files of the run's folder, manifests to their commit.

The steps are built as Beam builds any others, in a pipeline of their own, and then moved into the woven one.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import zlib
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pipeline import ComponentIdMap
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.pipeline_context import PipelineContext
from apache_beam.transforms.window import GlobalWindows

from beam_obs.records.manifest import Manifest
from beam_obs.records.run_context import RunContext
from beam_obs.stages.evidence import CommitEvidence, GatherRows, WriteEvidence, make_folder, slug, write_whole
from beam_obs.weaving.loom import DERIVATIONS, FILTERED, INPUTS, OUTPUTS, Loom
from beam_obs.wrapper.traced_rows import (
    DERIVATION_SCHEMA,
    FILTERED_SCHEMA,
    OUTPUT_BYTES,
    OUTPUT_SCHEMA,
    RUN_METADATA,
    STEP_METADATA,
    avro_long,
)

LABEL = "beam_obs evidence of lineage"
OUTPUT_INDEX = "output_index"
_KINDS: dict[str, tuple[Any, str, int | None]] = {
    DERIVATIONS: (DERIVATION_SCHEMA, DERIVATIONS, None),
    OUTPUTS: (OUTPUT_SCHEMA, OUTPUT_INDEX, OUTPUT_BYTES),
    FILTERED: (FILTERED_SCHEMA, FILTERED, None),
}
"""Schema of the rows, kind of the manifest, size of a row where it is fixed."""
_PREFIX = "beam_obs_lineage"
_BLOCK_BYTES = 1 << 16


def write_rows(loom: Loom, evidence: str | RunContext, shuffles_manifests: bool = True) -> None:
    """Adds the steps that write the rows of a woven pipeline.

    Args:
      loom: the weave, all but done.
      evidence: folder of the evidence, or the run whose folder it is.
      shuffles_manifests: whether manifests cross a shuffle before they are committed.
    """
    if not loom.rows:
        return
    pipeline = beam.Pipeline(runner="BundleBasedDirectRunner")
    ends: dict[str, str] = {}
    starts: list[_Start] = []
    for at, (kind, label, rows) in enumerate(loom.rows):
        found = loom.graph.parts.pcollections[rows]
        start = (
            pipeline
            | f"Start {at}" >> beam.Impulse()
            | f"Rows {at}" >> beam.Map(_same).with_output_types(bytes)
        )
        start.is_bounded = found.is_bounded == api.IsBounded.BOUNDED
        starts.append(_Start(kind, label, start, loom.windowing(rows).is_default()))
        ends[start.producer.full_label] = rows
    tuple(starts) | LABEL >> _Write(evidence, shuffles_manifests)
    _move(loom, pipeline, ends)


class _Start(NamedTuple):
    """Rows of a step on their way to a file.

    Args:
      kind: of the rows.
      label: of the step.
      rows: PCollection of bytes, in whatever windows the step has.
      is_default: whether that is the global one.
    """

    kind: str
    label: str
    rows: Any
    is_default: bool


class _Write(beam.PTransform):
    def __init__(self, evidence: str | RunContext, shuffles_manifests: bool) -> None:
        super().__init__()
        self._evidence = evidence
        self._shuffles_manifests = shuffles_manifests

    def _extract_input_pvalues(self, pvalueish: Any) -> Any:
        return pvalueish, tuple(start.rows for start in pvalueish)

    def expand(self, starts: Any) -> Any:
        found: list[Any] = []
        filtered: list[Any] = []
        for at, start in enumerate(starts):
            rows = start.rows
            if not start.is_default:
                rows = rows | f"Globally {at}" >> beam.WindowInto(GlobalWindows())
            if start.kind == FILTERED:
                filtered.append(rows)
            else:
                step = _WriteRows(start.kind, start.label, self._evidence)
                found.append(rows | f"{at} {step.name}" >> step)
        if filtered:
            rows = tuple(filtered) | "Filtered" >> beam.Flatten()
            found.append(rows | FILTERED >> _WriteRows(FILTERED, "", self._evidence))
        manifests = tuple(found)
        if self._shuffles_manifests:
            return manifests | "Commit" >> CommitEvidence(self._evidence)
        return manifests | "Flatten" >> beam.Flatten() | "Commit" >> beam.ParDo(_CommitOne(self._evidence))


class _CommitOne(beam.DoFn):
    """Commits the manifest of a bundle that has finished; a second try writes the same file."""

    def __init__(self, evidence: str | RunContext) -> None:
        self._evidence = evidence

    def process(self, manifest: str) -> None:
        folder = self._evidence if isinstance(self._evidence, str) else self._evidence.folder
        assert folder is not None, "evidence is committed to a run's folder, and this pipeline has no store"
        content = json.dumps({"manifests": [json.loads(manifest)]}, indent=1).encode()
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        make_folder(folder)
        write_whole(f"{folder.rstrip('/')}/manifest-{digest}.json", content)


class _WriteRows(beam.PTransform):
    def __init__(self, kind: str, label: str, evidence: str | RunContext) -> None:
        super().__init__()
        self.name = f"{kind} of {slug(label)}"
        self._kind = kind
        self._step = label
        self._evidence = evidence

    def expand(self, rows: Any) -> Any:
        if self._kind == INPUTS:
            return rows | "Read" >> beam.Map(bytes.decode).with_output_types(str)
        if not rows.is_bounded:
            rows = rows | "Gather" >> GatherRows()
        schema, kind, row_bytes = _KINDS[self._kind]
        run = self._evidence if isinstance(self._evidence, RunContext) else None
        opening = functools.partial(EncodedRows, schema, kind, self._step, row_bytes, run)
        name = f"{self._kind}-{slug(self._step)}" if self._step else self._kind
        write = WriteEvidence(opening, self._evidence, name, ".avro")
        return rows | "Write" >> beam.ParDo(write).with_output_types(str)


class EncodedRows:
    """An Avro file of rows that are encoded already.

    Args:
      schema: of the rows.
      kind: of the manifest.
      step: label of the step; empty where rows tell it.
      row_bytes: size of a row, where it is fixed: several rows may come at once then.
      run: the run, where it is known.
      file: an open binary file.
    """

    def __init__(
        self, schema: Any, kind: str, step: str, row_bytes: int | None, run: RunContext | None, file: Any
    ) -> None:
        self._file = file
        self._kind = kind
        self._step = step
        self._row_bytes = row_bytes
        self._count = self._in_block = 0
        self._block = io.BytesIO()
        self._sync = os.urandom(16)
        plain = {key: value for key, value in schema.items() if not key.startswith("__")}
        head = {
            "avro.schema": json.dumps(plain).encode(),
            "avro.codec": b"deflate",
            STEP_METADATA: step.encode(),
        }
        if run is not None:
            head[RUN_METADATA] = run.run.encode()
        file.write(b"Obj\x01" + avro_long(len(head)))
        for key, value in head.items():
            file.write(_bytes(key.encode()) + _bytes(value))
        file.write(b"\0" + self._sync)

    def write(self, row: bytes) -> None:
        """Adds one row, or rows of fixed size."""
        self._block.write(row)
        self._in_block += 1 if self._row_bytes is None else len(row) // self._row_bytes
        if self._block.tell() >= _BLOCK_BYTES:
            self._end_block()

    def close(self) -> Manifest:
        """Ends the file."""
        self._end_block()
        return Manifest(self._kind, self._step, "", self._count)

    def _end_block(self) -> None:
        if not self._in_block:
            return
        squeeze = zlib.compressobj(wbits=-15)
        data = squeeze.compress(self._block.getvalue()) + squeeze.flush()
        self._file.write(avro_long(self._in_block) + _bytes(data) + self._sync)
        self._count += self._in_block
        self._in_block = 0
        self._block = io.BytesIO()


def _bytes(data: bytes) -> bytes:
    return avro_long(len(data)) + data


def _same(value: Any) -> Any:
    return value


def _move(loom: Loom, pipeline: Any, ends: dict[str, str]) -> None:
    """Moves the steps that write into the woven pipeline, in place of those that they start from."""
    graph = loom.graph
    context = PipelineContext(component_id_map=ComponentIdMap(_PREFIX), namespace=_PREFIX)
    made = pipeline.to_runner_api(context=context)
    root = made.components.transforms[made.root_transform_ids[0]]
    replaced: dict[str, str] = {}
    moved: list[str] = []
    for child in root.subtransforms:
        label = made.components.transforms[child].unique_name
        if label in ends:
            (start,) = made.components.transforms[child].outputs.values()
            replaced[start] = ends[label]
        elif label == LABEL:
            moved.append(child)
    parts = graph.parts
    taken: set[str] = set()

    def take(node_id: str) -> None:
        node = parts.transforms[node_id]
        node.CopyFrom(made.components.transforms[node_id])
        if node.environment_id:
            node.environment_id = graph.environment
        for ports in (node.inputs, node.outputs):
            for tag, pcoll in list(ports.items()):
                ports[tag] = replaced.get(pcoll, pcoll)
                if pcoll not in replaced:
                    taken.add(pcoll)
        for inner in node.subtransforms:
            take(inner)

    for node_id in moved:
        take(node_id)
    for pcoll in sorted(taken):
        parts.pcollections[pcoll].CopyFrom(made.components.pcollections[pcoll])
    for name, coder in made.components.coders.items():
        parts.coders[name].CopyFrom(coder)
    for name, strategy in made.components.windowing_strategies.items():
        parts.windowing_strategies[name].CopyFrom(strategy)
        parts.windowing_strategies[name].environment_id = graph.environment
    if graph.proto.root_transform_ids and not graph.node(graph.proto.root_transform_ids[0]).spec.urn:
        graph.node(graph.proto.root_transform_ids[0]).subtransforms.extend(moved)
    else:
        graph.proto.root_transform_ids.extend(moved)
    for requirement in made.requirements:
        if requirement not in graph.proto.requirements:
            graph.proto.requirements.append(requirement)
