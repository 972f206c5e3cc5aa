"""The manifests of a Flink cluster of one's own: each is what Kubernetes takes, and they fit each other."""

from __future__ import annotations

import copy
import pathlib
from collections.abc import Callable
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from beam_obs.runs.options import ObservabilityOptions
from pipelines.flights.options import FlightsOptions
from tests.deploy.flink_deployment import FLINK_DEPLOYMENT

FOLDER = pathlib.Path(__file__).parents[2] / "templates" / "flink"
FILES = sorted(FOLDER.rglob("*.yaml"))
KUBERNETES = "1.34"


def documents(*files: pathlib.Path) -> list[dict[str, Any]]:
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


ALL = documents(*FILES)
BUILT_IN = [one for one in ALL if one["kind"] != "FlinkDeployment"]
(DEPLOYMENT,) = [one for one in ALL if one["kind"] == "FlinkDeployment"]


def validate(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def named(kind: str, name: str) -> dict[str, Any]:
    return next(one for one in ALL if (one["kind"], one["metadata"]["name"]) == (kind, name))


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    return list(document["spec"]["template"]["spec"]["containers"])


@pytest.mark.parametrize("document", BUILT_IN, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_a_built_in_kind_is_what_kubernetes_takes(document: dict[str, Any]) -> None:
    validate(document)


def test_the_operators_kind_has_its_fields_and_its_pod_those_of_a_pod() -> None:
    jsonschema.validate(DEPLOYMENT, FLINK_DEPLOYMENT)
    validate(DEPLOYMENT["spec"]["taskManager"]["podTemplate"])


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "a field that is not known": lambda spec: spec.update(taskmanagers={}),
    "a version in another form": lambda spec: spec.update(flinkVersion="1.19"),
    "a number in the configuration": lambda spec: spec["flinkConfiguration"].update(slots=2),
    "memory as Kubernetes writes it": lambda spec: spec["taskManager"]["resource"].update(memory="3Gi"),
    "no service account": lambda spec: spec.pop("serviceAccount"),
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN.keys())
def test_the_schema_of_the_operators_kind_refuses(spoil: Callable[[Any], object]) -> None:
    broken = copy.deepcopy(DEPLOYMENT)
    spoil(broken["spec"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, FLINK_DEPLOYMENT)


def test_a_wrong_manifest_is_refused() -> None:
    broken = copy.deepcopy(named("Deployment", "flink-taskmanager"))
    broken["spec"]["template"]["spec"]["containers"][1]["arguments"] = ["--worker_pool"]
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(broken)


def test_each_task_manager_has_workers_beside_it_where_the_pipeline_looks_for_them() -> None:
    pods = [
        containers(named("Deployment", "flink-taskmanager")),
        DEPLOYMENT["spec"]["taskManager"]["podTemplate"]["spec"]["containers"],
    ]
    (flights,) = named("CronJob", "flights")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    for pod in pods:
        (workers,) = [one for one in pod if one["name"] == "workers"]
        assert workers["args"] == ["--worker_pool"]
        (port,) = workers["ports"]
        assert f"--environment_config=localhost:{port['containerPort']}" in flights["args"]
        assert workers["image"] == flights["image"]  # the same code at both ends


def test_addresses_lead_to_services() -> None:
    (server,) = containers(named("Deployment", "beam-job-server"))
    ports = {
        (one["metadata"]["name"], port["port"])
        for one in ALL
        if one["kind"] == "Service"
        for port in one["spec"]["ports"]
    }
    (flights,) = named("CronJob", "flights")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    given = dict(one.removeprefix("--").split("=", 1) for one in (*server["args"], *flights["args"]))
    for address in (given["flink-master"], given["job_endpoint"]):
        name, _, port = address.partition(":")
        assert (name, int(port)) in ports
    for service in (one for one in ALL if one["kind"] == "Service"):
        labels = service["spec"]["selector"].items()
        found = [
            one for one in ALL
            if one["kind"] == "Deployment" and labels <= one["spec"]["template"]["metadata"]["labels"].items()
        ]  # fmt: skip
        assert len(found) == 1


def test_the_program_takes_the_options_that_it_is_given() -> None:
    (flights,) = named("CronJob", "flights")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert flights["command"] == ["python", "-m", "pipelines.flights.batch"]
    assert FlightsOptions(flights["args"]).input == "s3://BUCKET/flights/*.csv"
    assert ObservabilityOptions(flights["args"]).obs_store == "s3://BUCKET/beam_obs"
