"""The way of evidence out of a woven pipeline: rows to files of the run's folder, manifests to their commit.

Steps are put into the proto by hand: built as Beam builds steps they would take longer than all the rest of a
weave. Where a stream has no step that gathers, and none that commits, they are built so, in a pipeline of
their own, and moved over.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam import typehints
from apache_beam.coders import BytesCoder, IterableCoder, StrUtf8Coder, TupleCoder
from apache_beam.pipeline import ComponentIdMap
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.pipeline_context import PipelineContext
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.dead_letters.evidence_writer import (
    CommitEvidence,
    GatherEvidence,
    PutUnderKey,
    WriteEvidence,
    WriteGathered,
    WriteManifest,
    commit_of_batch,
    slug,
)
from beam_obs.records.instrument_rows import INSTRUMENTS
from beam_obs.records.ledger_rows import LEDGER, PointSums, manifest_of
from beam_obs.records.manifest import Manifest
from beam_obs.records.run_context import RunContext
from beam_obs.weaving.encoded_rows import open_rows
from beam_obs.weaving.own_pipeline import own_pipeline
from beam_obs.weaving.par_do import facts_of
from beam_obs.weaving.portable_graph import PAR_DO_URN, PortableGraph
from beam_obs.weaving.step_names import StepNames
from beam_obs.weaving.weave_state import (
    DERIVATIONS,
    FILTERED,
    INPUTS,
    OUTPUTS,
    WINDOW_COUNTS,
    WeaveState,
    par_do_spec,
)
from beam_obs.woven.gathered import sum_of_rows
from beam_obs.woven.held_back import unchecked
from beam_obs.wrapper.role import COMMIT, GATHER
from beam_obs.wrapper.stateless_dofn import StatelessDoFn
from beam_obs.wrapper.untyped import Untyped, untyped

LABEL = "beam_obs evidence of lineage"
_BY_BEAM = "beam_obs_lineage"
_BY_HAND = "beam_obs_rows"
_TOGETHER = (FILTERED, INSTRUMENTS, LEDGER)
"""Kinds whose rows tell their steps: those of all steps are written as one."""
_WITHIN = (DERIVATIONS, OUTPUTS)
"""Kinds that steps of the weave's own making write themselves, where they need not be gathered."""
_FLATTEN = common_urns.primitives.FLATTEN.urn
_DONE_BY_RUNNERS = beam.Pipeline.runner_implemented_transforms()
"""Steps that name no environment: an engine would look there for what only it does."""


def write_rows(
    weave: WeaveState, evidence: str | RunContext, shuffles_manifests: bool = True, gathers_rows: bool = True
) -> None:
    """Adds the steps that write the rows of a woven pipeline.

    Args:
      weave: the weave, all but done.
      evidence: folder of the evidence, or the run whose folder it is.
      shuffles_manifests: whether manifests cross a shuffle before they are committed.
      gathers_rows: whether rows of a stream wait for others before they are written.
    """
    if not weave.rows:
        return
    wiring = _Wiring(weave.graph)
    manifests: list[str] = []
    gathered: list[str] = []
    writers: dict[bytes, beam.DoFn] = {}
    together: dict[str, list[str]] = {}
    names = StepNames()
    gathers = gathers_rows and shuffles_manifests
    for kind, label, rows in weave.rows:
        of_step = f"{kind} of {slug(label)}"
        if gathers and kind != INPUTS and not wiring.is_bounded(rows):
            shown, key = ("", kind) if kind in _TOGETHER else (label, f"{kind} of {label}")
            writers.setdefault(key.encode(), _writer(kind, shown, evidence))
            if kind != LEDGER:
                rows = wiring.keyed(names.once(f"Key {of_step}"), key.encode(), rows, BytesCoder())
            gathered.append(rows)
            continue
        maker = weave.makers_of_rows.get(rows)
        if maker is not None and kind in _WITHIN and hasattr(maker[1], "writer") and wiring.is_bounded(rows):
            manifests.append(wiring.write_within(*maker, _writer(kind, label, evidence), rows))
            continue
        if not weave.windowing(rows).is_default():
            rows = wiring.globally(names.once(f"Globally {of_step}"), rows)
        if kind in _TOGETHER:
            together.setdefault(kind, []).append(rows)
        else:
            manifests.append(wiring.par_do(names.once(of_step), _writer(kind, label, evidence), rows))
    for kind, of_steps in together.items():
        rows = of_steps[0] if len(of_steps) == 1 else wiring.flatten(kind.capitalize(), of_steps)
        manifests.append(wiring.par_do(kind, _writer(kind, "", evidence), rows))
    if not shuffles_manifests or not all(map(wiring.is_bounded, (*gathered, *manifests))):
        if gathers:
            _commit_stream(wiring, evidence, gathered, writers, manifests)
        else:
            wiring.commit_at_once(manifests, evidence)
        return
    commit = _commit_of(weave, evidence)
    if commit is not None:
        wiring.bring_to(commit, manifests)
        wiring.put_into_composite(commit)
    else:
        wiring.commit(manifests, evidence)


def _commit_stream(
    wiring: _Wiring,
    evidence: str | RunContext,
    gathered: list[str],
    writers: dict[bytes, beam.DoFn],
    manifests: list[str],
) -> None:
    """Gathers rows, and commits their manifests and others, where those of the pipeline's own steps are."""
    there = wiring.gather_and_commit() if isinstance(evidence, RunContext) else None
    if there is None or not wiring.add_writers(there[0], writers):
        steps = _GatherAndCommit(evidence, writers)
        wiring.move_into(_move_into(wiring.graph, gathered, manifests, steps))
        return
    gather, commit = there
    wiring.bring_to(gather, gathered)
    wiring.bring_to(commit, manifests)
    wiring.put_into_composite(gather)


def _commit_of(weave: WeaveState, evidence: str | RunContext) -> str | None:
    """Returns the commit of the run that the pipeline's own steps bring their manifests to, where it may take
    those of rows too: all at once, and without waiting for more steps than it does."""
    if not isinstance(evidence, RunContext):
        return None
    graph = weave.graph
    for node_id in graph.order:
        if graph.role(node_id) == COMMIT:
            pcolls = [graph.parts.pcollections[one] for one in graph.node(node_id).inputs.values()]
            are_bounded = all(one.is_bounded == api.IsBounded.BOUNDED for one in pcolls)
            if are_bounded and _waits_for_all_rows(weave, node_id):
                return node_id
    return None


def _waits_for_all_rows(weave: WeaveState, commit: str) -> bool:
    """Returns whether a commit stands behind each step that makes rows: what was refused before a write is
    committed before the write is done."""
    graph = weave.graph
    makers = {
        pcoll: leaf
        for root in graph.proto.root_transform_ids
        for leaf in graph.leaves(root)
        for pcoll in graph.node(leaf).outputs.values()
        if pcoll not in graph.node(leaf).inputs.values()
    }
    before = set[str]()
    todo = list(graph.node(commit).inputs.values())
    while todo:
        maker = makers.get(todo.pop())
        if maker is not None and maker not in before:
            before.add(maker)
            todo.extend(graph.node(maker).inputs.values())
    return all(makers.get(rows) in before for _, _, rows in weave.rows)


class _GatherAndCommit(Untyped, beam.PTransform):
    """Gathers and commits the evidence of a stream of whose own steps there is none."""

    def __init__(self, evidence: str | RunContext, writers: dict[bytes, beam.DoFn]) -> None:
        super().__init__()
        self._evidence = evidence
        self._writers = writers

    def expand(self, starts: Any) -> Any:
        gathered, manifests = starts
        if gathered:
            manifests = (*manifests, gathered | "Gather" >> GatherEvidence(self._writers))
        return manifests | "Commit" >> CommitEvidence(self._evidence)


def _writer(kind: str, label: str, evidence: str | RunContext) -> beam.DoFn:
    """Returns what makes manifests of rows."""
    if kind == INPUTS:
        return _ReadManifest()
    if kind == WINDOW_COUNTS:
        return _WindowsManifest(label)
    if kind == LEDGER:
        return _LedgerManifest()
    run = evidence if isinstance(evidence, RunContext) else None
    opening = functools.partial(open_rows, kind, label, run)
    return WriteEvidence(opening, evidence, f"{kind}-{slug(label)}" if label else kind, ".avro", True)


class _ReadManifest(Untyped, beam.DoFn):
    """Takes rows that are manifests already."""

    def process(self, row: bytes) -> list[str]:
        return [row.decode()]


class _WindowsManifest(StatelessDoFn):
    """Sums the rows of a bundle to one manifest, which holds all there is to say: no file goes with it.

    Args:
      label: of the step whose windows they are.
    """

    def __init__(self, label: str) -> None:
        self._label = label

    def start_bundle(self) -> None:
        self._rows: list[bytes] = []

    def process(self, row: bytes) -> None:
        self._rows.append(row)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._rows:
            windows = sum_of_rows(self._rows)
            manifest = Manifest(
                WINDOW_COUNTS,
                self._label,
                os.urandom(6).hex(),
                len(windows),
                details={"windows": {window: counts.to_json() for window, counts in windows.items()}},
            )
            yield GlobalWindows.windowed_value(manifest.to_json())


class _LedgerManifest(StatelessDoFn):
    """Sums rows of the ledger, as they leave the steps or without their key, to one manifest for each bundle:
    no file goes with it."""

    def start_bundle(self) -> None:
        self._sums = PointSums()

    def process(self, row: bytes | tuple[bytes, bytes]) -> None:
        self._sums.add_row(row if isinstance(row, bytes) else row[1])

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._sums.by_point:
            yield GlobalWindows.windowed_value(manifest_of(self._sums).to_json())


# Steps put in by hand.


class _Wiring:
    """Steps that are put into a proto by hand; what they give is in the global window.

    Args:
      graph: of the pipeline.
    """

    def __init__(self, graph: PortableGraph) -> None:
        self.graph = graph
        self._context = PipelineContext(component_id_map=ComponentIdMap(_BY_HAND), namespace=_BY_HAND)
        self._windowing = self._context.windowing_strategies.get_id(Windowing(GlobalWindows()))
        self._nodes: list[str] = []
        self._made: set[str] = set()

    def globally(self, name: str, taken: str) -> str:
        """Returns bytes in the global window."""
        into = beam.WindowInto(GlobalWindows())
        urn, strategy = into.to_runner_api_parameter(self._context)
        spec = api.FunctionSpec(urn=urn, payload=strategy.SerializeToString())
        return self._add(name, spec, [taken], self._coder_of(taken))

    def is_bounded(self, pcoll: str) -> bool:
        """Returns whether a PCollection is no stream."""
        return bool(self.graph.parts.pcollections[pcoll].is_bounded == api.IsBounded.BOUNDED)

    def par_do(self, name: str, dofn: beam.DoFn, taken: str) -> str:
        """Returns what a DoFn gives, which is text."""
        return self._add(name, par_do_spec(dofn), [taken], self._coder(StrUtf8Coder()))

    def keyed(self, name: str, key: bytes, taken: str, coder: Any) -> str:
        """Returns rows under a key."""
        pair = self._coder(TupleCoder([BytesCoder(), coder]))
        return self._add(name, par_do_spec(PutUnderKey(key)), [taken], pair)

    def flatten(self, name: str, taken: list[str]) -> str:
        """Returns several PCollections of one coder as one; a runner would transcode those of another."""
        return self._add(name, api.FunctionSpec(urn=_FLATTEN), taken, self._coder_of(taken[0]))

    def commit(self, manifests: list[str], evidence: str | RunContext) -> None:
        """Commits manifests behind a shuffle, as `CommitEvidence` does, and puts all steps in a composite."""
        name = "Commit"
        flat = self.flatten("Manifests", manifests)
        keyed = self.keyed(f"{name}/Key", b"", flat, StrUtf8Coder())
        shuffle = api.FunctionSpec(urn=common_urns.primitives.GROUP_BY_KEY.urn)
        grouped = TupleCoder([BytesCoder(), IterableCoder(StrUtf8Coder())])
        shuffled = self._add(f"{name}/Shuffle", shuffle, [keyed], self._coder(grouped))
        self.par_do(f"{name}/Write", commit_of_batch(evidence, f"{LABEL}/{name}"), shuffled)
        self.put_into_composite()

    def commit_at_once(self, manifests: list[str], evidence: str | RunContext) -> None:
        """Commits manifests one by one as they come, and puts all steps in a composite."""
        flat = self.flatten("Manifests", manifests)
        self.par_do("Commit", WriteManifest(evidence), flat)
        self.put_into_composite()

    def gather_and_commit(self) -> tuple[str, str] | None:
        """Returns where rows of a stream that the pipeline's own steps make are gathered and committed; None
        where they make none."""
        graph = self.graph
        ours = {node_id: graph.role(node_id) for node_id in reversed(graph.order)}
        for gather in (node_id for node_id, role in ours.items() if role == GATHER):
            given = set(graph.node(gather).outputs.values())
            for commit in (node_id for node_id, role in ours.items() if role == COMMIT):
                if not given.isdisjoint(graph.node(commit).inputs.values()):
                    return gather, commit
        return None

    def add_writers(self, gather: str, writers: dict[bytes, beam.DoFn]) -> bool:
        """Lets a gather write rows of more keys; returns whether that can be."""
        for leaf in self.graph.leaves(gather):
            node = self.graph.node(leaf)
            dofn = facts_of(node).dofn if node.spec.urn == PAR_DO_URN else None
            write = unchecked(dofn)
            if isinstance(write, WriteGathered):
                write.writers = {**write.writers, **writers}
                node.spec.CopyFrom(par_do_spec(dofn))
                return True
        return False

    def bring_to(self, composite: str, pcolls: list[str]) -> None:
        """Brings PCollections to a composite that is there, and begins with a Flatten."""
        graph = self.graph
        (flatten,) = [leaf for leaf in graph.leaves(composite) if graph.node(leaf).spec.urn == _FLATTEN]
        for at, pcoll in enumerate(pcolls):
            for node_id in (composite, flatten):
                graph.node(node_id).inputs[f"{_BY_HAND}_{at}"] = pcoll

    def write_within(self, node_id: str, dofn: Any, writer: beam.DoFn, rows: str) -> str:
        """Lets a step of the weave's own making write its rows itself; returns their manifests."""
        dofn.writer = writer
        self.graph.node(node_id).spec.CopyFrom(par_do_spec(dofn))
        pcollection = self.graph.parts.pcollections[rows]
        pcollection.coder_id = self._coder(StrUtf8Coder())
        pcollection.windowing_strategy_id = self._windowing
        return rows

    def put_into_composite(self, before: str | None = None) -> None:
        """Puts the steps into a composite of their own, behind all that is there or before one of the root's;
        what is taken elsewhere leaves it."""
        if not self._nodes:
            self._add_parts()
            return
        graph = self.graph
        graph.parts.transforms[_BY_HAND].unique_name = LABEL
        _put_at_the_root(graph, _BY_HAND, before)
        self.move_into(_BY_HAND)
        if before is not None:
            inside = {pcoll for one in self._nodes for pcoll in graph.node(one).inputs.values()}
            for at, pcoll in enumerate(sorted(self._made - inside)):
                graph.node(_BY_HAND).outputs[str(at)] = pcoll

    def move_into(self, composite: str) -> None:
        """Puts the steps into a composite, before all that is in it."""
        self._add_parts()
        graph = self.graph
        node = graph.node(composite)
        behind = list(node.subtransforms)
        del node.subtransforms[:]
        node.subtransforms.extend([*self._nodes, *behind])
        taken = [pcoll for one in self._nodes for pcoll in graph.node(one).inputs.values()]
        outside = dict.fromkeys(
            pcoll for pcoll in (*sorted(node.inputs.values()), *sorted(taken)) if pcoll not in self._made
        )
        node.inputs.clear()
        for at, pcoll in enumerate(outside):
            node.inputs[str(at)] = pcoll

    def _add_parts(self) -> None:
        """Adds the coders and the windowing that the steps use."""
        parts, made = self.graph.parts, self._context.to_runner_api()
        for name, coder in made.coders.items():
            parts.coders[name].CopyFrom(coder)
        for name, strategy in made.windowing_strategies.items():
            parts.windowing_strategies[name].CopyFrom(strategy)
            parts.windowing_strategies[name].environment_id = self.graph.environment

    def _coder(self, coder: Any) -> str:
        return str(self._context.coders.get_id(coder))

    def _coder_of(self, pcoll: str) -> str:
        return str(self.graph.parts.pcollections[pcoll].coder_id)

    def _add(self, name: str, spec: api.FunctionSpec, taken: list[str], coder: str) -> str:
        parts = self.graph.parts
        node_id = f"{_BY_HAND}_{len(self._nodes)}"
        node = parts.transforms[node_id]
        node.unique_name = f"{LABEL}/{name}"
        node.spec.CopyFrom(spec)
        if spec.urn not in _DONE_BY_RUNNERS:
            node.environment_id = self.graph.environment
        for at, pcoll in enumerate(taken):
            node.inputs[str(at)] = pcoll
        made = f"{node_id}_output"
        node.outputs["None"] = made
        pcollection = parts.pcollections[made]
        pcollection.unique_name = f"{node.unique_name}.None"
        pcollection.coder_id = coder
        pcollection.windowing_strategy_id = self._windowing
        bounded = all(map(self.is_bounded, taken))
        pcollection.is_bounded = api.IsBounded.BOUNDED if bounded else api.IsBounded.UNBOUNDED
        self._nodes.append(node_id)
        self._made.add(made)
        return made


# Steps built by Beam.


def _move_into(graph: PortableGraph, gathered: list[str], manifests: list[str], steps: Any) -> str:
    """Builds steps as Beam does, and moves them into a pipeline; returns the id of the composite."""
    pipeline = own_pipeline()
    ends: dict[str, str] = {}

    def standing_for(pcoll: str, kind: Any) -> Any:
        at = len(ends)
        impulse = pipeline | f"Start {at}" >> beam.Impulse()
        rows = impulse | f"Rows {at}" >> beam.Map(_same).with_output_types(kind)
        rows.is_bounded = graph.parts.pcollections[pcoll].is_bounded == api.IsBounded.BOUNDED
        ends[rows.producer.full_label] = pcoll
        return rows

    rows = tuple(standing_for(pcoll, typehints.KV[bytes, bytes]) for pcoll in gathered)
    (rows, tuple(standing_for(pcoll, str) for pcoll in manifests)) | LABEL >> steps
    return _move(graph, pipeline, ends)


@untyped
def _same(value: Any) -> Any:
    return value


def _move(graph: PortableGraph, pipeline: Any, ends: dict[str, str]) -> str:
    """Moves the steps that write into the woven pipeline, in place of those that they start from."""
    context = PipelineContext(component_id_map=ComponentIdMap(_BY_BEAM), namespace=_BY_BEAM)
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

    (composite,) = moved
    take(composite)
    for pcoll in sorted(taken):
        parts.pcollections[pcoll].CopyFrom(made.components.pcollections[pcoll])
    for name, coder in made.components.coders.items():
        parts.coders[name].CopyFrom(coder)
    for name, strategy in made.components.windowing_strategies.items():
        parts.windowing_strategies[name].CopyFrom(strategy)
        parts.windowing_strategies[name].environment_id = graph.environment
    _put_at_the_root(graph, composite)
    for requirement in made.requirements:
        if requirement not in graph.proto.requirements:
            graph.proto.requirements.append(requirement)
    return composite


def _put_at_the_root(graph: PortableGraph, composite: str, before: str | None = None) -> None:
    """Puts a composite beside those of the user, before one of them or behind all."""
    roots = graph.proto.root_transform_ids
    siblings = graph.node(roots[0]).subtransforms if roots and not graph.node(roots[0]).spec.urn else roots
    siblings.insert(list(siblings).index(before) if before in siblings else len(siblings), composite)
