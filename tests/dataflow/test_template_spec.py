"""Metadata and container spec are held against Dataflow's own messages."""

from __future__ import annotations

import re
from typing import Any

import pytest

import beam_obs as obs
from beam_obs.dataflow.template_parameters import Parameter
from beam_obs.dataflow.template_settings import TemplateSettings
from beam_obs.dataflow.template_spec import container_spec, template_metadata

IMAGE = f"europe-docker.pkg.dev/project/images/flights@sha256:{'a' * 64}"
STREAM = TemplateSettings(
    "m",
    "Stream",
    streaming=True,
    exactly_once=True,
    at_least_once=True,
    default_streaming_mode="EXACTLY_ONCE",
)


def test_a_spec_says_how_a_template_streams() -> None:
    metadata = container_spec(STREAM, template_metadata(STREAM, []), IMAGE)["metadata"]
    assert metadata == {
        "name": "Stream",
        "streaming": True,
        "supportsExactlyOnce": True,
        "supportsAtLeastOnce": True,
        "defaultStreamingMode": "EXACTLY_ONCE",
    }


def test_workers_have_the_launchers_image() -> None:
    settings = TemplateSettings("m", "n", environment={"max_workers": 3, "network": "inner"})
    spec = container_spec(settings, template_metadata(settings, []), IMAGE)
    assert spec["image"] == IMAGE
    assert spec["sdkInfo"] == {"language": "PYTHON"}
    assert spec["defaultEnvironment"] == {"sdkContainerImage": IMAGE, "maxWorkers": 3, "network": "inner"}


def test_a_parameter_is_told_as_dataflow_reads_it() -> None:
    given = Parameter(
        "mode", "Mode", "How.", False, "ENUM", choices=("a", "b"), default="a", group="g", hidden=True
    )
    (told,) = template_metadata(TemplateSettings("m", "n"), [given])["parameters"]
    assert told == {
        "name": "mode",
        "label": "Mode",
        "helpText": "How.",
        "isOptional": True,
        "paramType": "ENUM",
        "enumOptions": [{"value": "a", "label": "a"}, {"value": "b", "label": "b"}],
        "defaultValue": "a",
        "groupName": "g",
        "hiddenUi": True,
    }


@pytest.mark.parametrize("image", ["image", "image:latest", "image@sha256:abc", f"Image@sha256:{'a' * 64}"])
def test_an_image_without_its_digest_is_refused(image: str) -> None:
    with pytest.raises(obs.UsageError, match="has no digest"):
        container_spec(STREAM, {}, image)


def test_an_environment_that_dataflow_does_not_know_is_refused() -> None:
    settings = TemplateSettings("m", "n", environment={"max_worker": 3})
    with pytest.raises(obs.UsageError, match=r"\[environment\].*max_worker"):
        container_spec(settings, {})


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"max_workers": -1}, "maxWorkers is -1; it is 0 or more"),
        ({"diskSizeGb": -5}, "diskSizeGb is -5; it is 0 or more"),
        ({"additional_user_labels": {"Team": "sky"}}, "label 'Team': a key is small letters"),
        ({"temp_location": "/tmp/here"}, "tempLocation is '/tmp/here'; it is gs://BUCKET/FOLDER"),
        ({"sdk_container_image": "image:latest"}, "sdkContainerImage is 'image:latest'; it has no digest"),
    ],
)
def test_an_environment_that_dataflow_would_refuse_is_refused(environment: dict[str, Any], said: str) -> None:
    with pytest.raises(obs.UsageError, match=rf"\[environment\].*{re.escape(said)}"):
        container_spec(TemplateSettings("m", "n", environment=environment), {}, IMAGE)


def test_a_type_that_dataflow_does_not_know_is_refused() -> None:
    with pytest.raises(obs.UsageError, match="GCS_FILE"):
        template_metadata(STREAM, [Parameter("input", "Input", "h", kind="GCS_FILE")])
