"""Metadata and container spec of a Flex template, as Dataflow reads them, held against its own messages.

The spec is the one file that a launch names. `gcloud dataflow flex-template build` writes it too, but leaves
out whether a template streams and how.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from beam_obs.dataflow.launch_parameters import FOLDERS, is_cloud_storage
from beam_obs.dataflow.template_parameters import Parameter
from beam_obs.dataflow.template_settings import TemplateSettings
from beam_obs.records.dataflow_names import label_problems
from beam_obs.records.errors import MissingExtra, UsageError

_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")


def template_metadata(settings: TemplateSettings, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Returns the metadata of a template, as it stands in JSON.

    Args:
      settings: of the template.
      parameters: of the template.

    Raises:
      MissingExtra: the ``dataflow`` extra is not installed.
      UsageError: Dataflow knows no such type of a parameter.
    """
    metadata: dict[str, Any] = {"name": settings.name}
    if settings.description:
        metadata["description"] = " ".join(settings.description.split())
    if settings.streaming:
        metadata |= {
            "streaming": True,
            "supportsExactlyOnce": settings.exactly_once,
            "supportsAtLeastOnce": settings.at_least_once,
        }
    if settings.default_streaming_mode:
        metadata["defaultStreamingMode"] = settings.default_streaming_mode
    metadata["parameters"] = [_told(one) for one in parameters]
    return _strictly(metadata, "TemplateMetadata", "the template's metadata")


def container_spec(
    settings: TemplateSettings, metadata: dict[str, Any], image: str | None = None
) -> dict[str, Any]:
    """Returns the container spec of a template, as it stands in JSON.

    Args:
      settings: of the template.
      metadata: of the template, as `template_metadata` gives it.
      image: of launcher and workers, by its digest; left out where it is not built yet.

    Raises:
      MissingExtra: the ``dataflow`` extra is not installed.
      UsageError: the image has no digest, or Dataflow takes no such setting of an environment.
    """
    environment = _strictly(
        dict(settings.environment),
        "FlexTemplateRuntimeEnvironment",
        "[environment] of the template's settings",
    )
    spec: dict[str, Any] = {"sdkInfo": {"language": "PYTHON"}, "metadata": metadata}
    if problems := _environment_problems(environment):
        raise UsageError(f"[environment] of the template's settings: {'; '.join(problems)}")
    if image is not None:
        if _IMAGE.fullmatch(image) is None:
            raise UsageError(
                f"image {image!r} has no digest: what it names may change. Write IMAGE@sha256:..., as "
                "`gcloud artifacts docker images describe IMAGE` prints it"
            )
        spec = {"image": image, **spec}
        environment = {"sdkContainerImage": image, **environment}
    if environment:
        spec["defaultEnvironment"] = environment
    return _strictly(spec, "ContainerSpec", "the template's container spec")


def _environment_problems(environment: dict[str, Any]) -> list[str]:
    """Returns what Dataflow's message takes of an environment, and Dataflow would not."""
    problems = [
        f"{name} is {value}; it is 0 or more"
        for name, value in environment.items()
        if isinstance(value, int) and value < 0
    ]
    problems += [
        f"{name} is {environment[name]!r}; it is gs://BUCKET/FOLDER"
        for name in FOLDERS
        if not is_cloud_storage(environment.get(name, "gs://bucket"))
    ]
    image = environment.get("sdkContainerImage")
    if image is not None and _IMAGE.fullmatch(image) is None:
        problems.append(f"sdkContainerImage is {image!r}; it has no digest: what it names may change")
    return problems + label_problems(environment.get("additionalUserLabels", {}))


def as_json(message: dict[str, Any]) -> str:
    """Returns the text of a file."""
    return json.dumps(message, indent=2, ensure_ascii=False) + "\n"


def _told(parameter: Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": parameter.name,
        "label": parameter.label,
        "helpText": parameter.help,
        "paramType": parameter.kind,
    }
    if not parameter.required:
        told["isOptional"] = True
    if parameter.regexes:
        told["regexes"] = list(parameter.regexes)
    if parameter.kind == "ENUM":
        told["enumOptions"] = [{"value": choice, "label": choice} for choice in parameter.choices]
    if parameter.default is not None:
        told["defaultValue"] = parameter.default
    if parameter.group:
        told["groupName"] = parameter.group
    if parameter.hidden:
        told["hiddenUi"] = True
    return told


def _strictly(message: dict[str, Any], kind: str, what: str) -> dict[str, Any]:
    """Returns a message as Dataflow's own type has it, with the names that JSON has there.

    Raises:
      UsageError: the type has no such field, or it holds no such value.
    """
    try:
        import google.cloud.dataflow_v1beta3 as dataflow
        from google.protobuf import json_format
    except ImportError:
        raise MissingExtra("Dataflow's templates", "dataflow") from None
    try:
        parsed = json_format.ParseDict(message, getattr(dataflow, kind).pb()())
    except json_format.ParseError as error:
        raise UsageError(f"{what}: {error}") from None
    named: dict[str, Any] = json_format.MessageToDict(parsed)
    return named
