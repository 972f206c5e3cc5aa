"""What is launched: the file of a template, on this machine or in Cloud Storage, flex or classic."""

from __future__ import annotations

import json
import pathlib
import posixpath
from typing import Any, NamedTuple

from beam_obs.dataflow.dataflow_calls import dataflow_types
from beam_obs.records.errors import BeamObsError
from beam_obs.store.folder import folder_at

_CLOUD = "gs://"


class NoTemplate(BeamObsError):
    """A file that is no template, or cannot be read.

    Args:
      location: the file.
      reason: why not, and what is expected.
    """

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(f"{location}: {reason}")
        self.location = location
        self.reason = reason

    def __reduce__(self) -> tuple[type[NoTemplate], tuple[str, str]]:
        return (NoTemplate, (self.location, self.reason))


class LaunchedTemplate(NamedTuple):
    """A template.

    Args:
      location: its file.
      spec: the ``ContainerSpec`` of a flex template; None of a classic one.
      metadata: its ``TemplateMetadata``; None where it has none.
      graph: where the pipeline of a classic one is kept; None where it is not told.
    """

    location: str
    spec: Any
    metadata: Any
    graph: str | None = None

    @property
    def name(self) -> str:
        """Its name: of the metadata, else of its file."""
        named = self.metadata.name if self.metadata is not None else ""
        return named or posixpath.basename(self.location).partition(".")[0]

    @property
    def is_in_cloud(self) -> bool:
        """Whether Dataflow can read its file itself."""
        return self.location.startswith(_CLOUD)


def read_template(location: str) -> LaunchedTemplate:
    """Returns what a template's file says.

    Args:
      location: a path, or ``gs://BUCKET/...``.

    Raises:
      NoTemplate: it is not there, or no template.
      MissingExtra: the ``dataflow`` extra is not installed.
    """
    dataflow = dataflow_types()
    content = read_file(location)
    if content is None:
        raise NoTemplate(location, "there is no such file")
    told = _object(location, content)
    if "image" in told:
        spec = _message(dataflow.ContainerSpec, told, location)
        has_metadata = "metadata" in told
        return LaunchedTemplate(location, spec, spec.metadata if has_metadata else None)
    if "environment" in told:
        return _classic(dataflow, location, told)
    if "sdkInfo" in told:
        raise NoTemplate(
            location,
            "it is the spec of a template without an image: beam-obs template spec PROGRAM --image "
            "IMAGE@sha256:... gives it one",
        )
    expected = 'the "image" of a flex template\'s container spec, or the job of a classic template'
    raise NoTemplate(location, f"it is no template: {expected} is expected")


def read_file(location: str) -> bytes | None:
    """Returns the content of a file of this machine or of Cloud Storage; None where there is none."""
    if not location.startswith(_CLOUD):
        path = pathlib.Path(location)
        return path.read_bytes() if path.is_file() else None
    folder, _, name = location.rpartition("/")
    return folder_at(folder).read(name)


def _classic(dataflow: Any, location: str, told: dict[str, Any]) -> LaunchedTemplate:
    described = read_file(f"{location}_metadata")
    metadata = None
    if described is not None:
        metadata = _message(dataflow.TemplateMetadata, _object(location, described), f"{location}_metadata")
    options = (told["environment"].get("sdkPipelineOptions") or {}).get("options") or {}
    graph = options.get("pipelineUrl")
    return LaunchedTemplate(location, None, metadata, graph if isinstance(graph, str) else None)


def _object(location: str, content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except ValueError as error:
        raise NoTemplate(location, f"it is no JSON: {error}") from None
    if not isinstance(told, dict):
        raise NoTemplate(location, "it is no JSON object")
    return told


def _message(kind: Any, told: dict[str, Any], location: str) -> Any:
    from google.protobuf import json_format

    try:
        return kind.from_json(json.dumps(told))
    except json_format.ParseError as error:
        raise NoTemplate(location, f"it is no {kind.__name__}: {error}") from None
