"""The graph that Dataflow would get of a program: made by its own runner, on this machine alone.

The program's ``main`` builds its pipeline for a classic template, whose files are looked at. Nothing is sent,
and no credentials are looked for.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from beam_obs.dataflow.template_parameters import check_options, program_module
from beam_obs.records.errors import BeamObsError, MissingExtra, UsageError

LIMIT_BYTES = 10 * 1024 * 1024
"""What Dataflow takes of a graph: https://cloud.google.com/dataflow/quotas."""

IMAGE = f"example.com/image@sha256:{'0' * 64}"
"""Stands for the image of workers."""

_OFFLINE = {
    "runner": "DataflowRunner",
    "project": "project",
    "region": "us-central1",
    "sdk_container_image": IMAGE,
    "sdk_location": "container",
    "dataflow_endpoint": "http://localhost:1",
    # What `pip freeze` says, which takes longer than all the rest.
    "experiments": "disable_logging_submission_environment",
    "obs_report": "off",
}


class GraphStep(NamedTuple):
    """One step of a pipeline that has no steps within.

    Args:
      label: its full name, by which an update of a streaming job knows it.
      kind: last part of its URN.
      coders: of its outputs, e.g. ``kv(bytes,varint)``.
    """

    label: str
    kind: str
    coders: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.label}  [{self.kind}]  {' '.join(self.coders)}".rstrip()


class TemplateGraph(NamedTuple):
    """What Dataflow would get.

    Args:
      steps: those without steps within, by label.
      pipeline: the portable pipeline, as workers get it.
      job_bytes: size of the request, in JSON.
      job: that request.
    """

    steps: tuple[GraphStep, ...]
    pipeline: bytes
    job_bytes: int
    job: dict[str, Any]

    @property
    def graph_bytes(self) -> int:
        """Size of the portable pipeline."""
        return len(self.pipeline)

    def sizes(self) -> str:
        """Returns how many steps it has and how large it is, in one line."""
        share = self.graph_bytes / LIMIT_BYTES
        return f"{len(self.steps)} steps, {self.graph_bytes:,} bytes ({share:.1%} of the limit)"


class NoGraph(BeamObsError):
    """A program did not build a pipeline."""


def template_graph(module: str, arguments: Sequence[str]) -> TemplateGraph:
    """Returns the graph that Dataflow would get of a program.

    Args:
      module: the program, which has a function ``main``.
      arguments: on its command line, besides those of the runner.

    Raises:
      MissingExtra: the ``gcp`` extra is not installed.
      NoGraph: the program ended without a graph.
      UsageError: there is no such module, or it has no ``main``.
    """
    try:
        import apache_beam.runners.dataflow.internal.apiclient  # noqa: F401
    except ImportError:
        raise MissingExtra("Dataflow's runner", "gcp") from None
    # A program without them takes our options all the same, and Beam warns of none that it knows.
    import beam_obs.runs.options
    import beam_obs.weaving.lineage_options  # noqa: F401

    main = getattr(program_module(module), "main", None)
    if not callable(main):
        raise UsageError(f"{module} has no function main, which builds its pipeline and runs it")
    _check_callable(module, main)
    check_options(module)
    with tempfile.TemporaryDirectory(prefix="beam-obs-template-") as name:
        folder = pathlib.Path(name)
        with _command_line([module, *arguments, *_offline_arguments(folder)]), _counted() as pipelines:
            try:
                main()
            except SystemExit as error:
                if error.code not in (None, 0):
                    raise NoGraph(f"{module} ended with {error.code}, and no graph") from None
        graphs = sorted(folder.rglob("pipeline.pb"))
        if len(pipelines) != 1 or len(graphs) != 1 or not (folder / "job.json").exists():
            raise NoGraph(
                f"{module} made {len(graphs) and len(pipelines)} graphs for Dataflow: its main must build "
                "one pipeline, with the options of its command line"
            )
        return _read(graphs[0], folder / "job.json")


def _check_callable(module: str, main: Callable[..., object]) -> None:
    signature = inspect.signature(main)
    try:
        signature.bind()
    except TypeError:
        raise UsageError(
            f"{module}.main takes {signature}, and is called without arguments: give each a default, as "
            "main(argv=None)"
        ) from None


@contextlib.contextmanager
def _counted() -> Iterator[list[object]]:
    """Gives the pipelines that Dataflow's runner is given meanwhile: each is written over the one before."""
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    pipelines: list[object] = []
    run_pipeline = DataflowRunner.run_pipeline

    def counting(self: Any, pipeline: Any, *rest: Any, **named: Any) -> Any:
        pipelines.append(pipeline)
        return run_pipeline(self, pipeline, *rest, **named)

    DataflowRunner.run_pipeline = counting
    try:
        yield pipelines
    finally:
        DataflowRunner.run_pipeline = run_pipeline


def _offline_arguments(folder: pathlib.Path) -> list[str]:
    for name in ("staging", "temp"):
        (folder / name).mkdir()
    places = {
        "staging_location": folder / "staging",
        "temp_location": folder / "temp",
        "template_location": folder / "job.json",
        "obs_store": folder / "store",
    }
    return [
        *(f"--{name}={value}" for name, value in {**_OFFLINE, **places}.items()),
        "--no_auth",
        "--obs_store_shared",
    ]


@contextlib.contextmanager
def _command_line(arguments: list[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = arguments
    try:
        yield
    finally:
        sys.argv = before


def _read(graph: pathlib.Path, job: pathlib.Path) -> TemplateGraph:
    from apache_beam.portability.api import beam_runner_api_pb2

    content = graph.read_bytes()
    components = beam_runner_api_pb2.Pipeline.FromString(content).components
    steps = [
        GraphStep(
            one.unique_name,
            _short(one.spec.urn),
            tuple(
                _coder(components, components.pcollections[id_].coder_id)
                for _, id_ in sorted(one.outputs.items())
            ),
        )
        for one in components.transforms.values()
        if not one.subtransforms
    ]
    written = job.read_bytes()
    return TemplateGraph(tuple(sorted(steps)), content, len(written), json.loads(written))


def _coder(components: Any, id_: str) -> str:
    coder = components.coders[id_]
    within = ",".join(_coder(components, one) for one in coder.component_coder_ids)
    return _short(coder.spec.urn) + (f"({within})" if within else "")


def _short(urn: str) -> str:
    """Returns the part of a URN that tells it from others.

    >>> _short("beam:transform:group_by_key:v1")
    'group_by_key'
    """
    parts = urn.split(":")
    return parts[-2] if len(parts) > 2 and parts[-1].startswith("v") else urn
