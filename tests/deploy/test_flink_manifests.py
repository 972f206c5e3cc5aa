"""The manifests of a Flink cluster of one's own: each is what Kubernetes takes, and they fit each other."""

from __future__ import annotations

import copy
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from beam_obs.runs.options import ObservabilityOptions
from pipelines.flights.options import FlightsOptions
from tests.deploy.flink_deployment import FLINK_DEPLOYMENT
from tests.engines.flink.cluster import what_is_missing
from tests.engines.install import FLINK

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


def task_manager_pods() -> list[dict[str, Any]]:
    """Returns the specs of both clusters' pods."""
    return [
        named("Deployment", "flink-taskmanager")["spec"]["template"]["spec"],
        DEPLOYMENT["spec"]["taskManager"]["podTemplate"]["spec"],
    ]


def properties() -> dict[str, str]:
    """Returns what the image makes of FLINK_PROPERTIES: a line is an option, and loses all its spaces."""
    lines = named("ConfigMap", "flink")["data"]["FLINK_PROPERTIES"].splitlines()
    return dict("".join(line.split()).split(":", 1) for line in lines)


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
    (flights,) = named("CronJob", "flights")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    for pod in task_manager_pods():
        (workers,) = [one for one in pod["containers"] if one["name"] == "workers"]
        assert workers["args"] == ["--worker_pool"]
        (port,) = workers["ports"]
        assert f"--environment_config=localhost:{port['containerPort']}" in flights["args"]
        assert workers["image"] == flights["image"]  # the same code at both ends
        assert workers["envFrom"] == flights["envFrom"]  # and the same keys of the store


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
    for address in (given["flink-master"], given["job_endpoint"], given["artifact_endpoint"]):
        name, _, port = address.partition(":")
        assert (name, int(port)) in ports
    for service in (one for one in ALL if one["kind"] == "Service"):
        labels = service["spec"]["selector"].items()
        found = [
            one for one in ALL
            if one["kind"] == "Deployment" and labels <= one["spec"]["template"]["metadata"]["labels"].items()
        ]  # fmt: skip
        assert len(found) == 1


def test_task_managers_read_the_files_of_a_job_where_the_job_server_writes_them() -> None:
    server = named("Deployment", "beam-job-server")["spec"]["template"]["spec"]
    claim = named("PersistentVolumeClaim", "beam-artifacts")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in (server, *task_manager_pods()):
        (volume,) = pod["volumes"]
        assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
        (mount,) = pod["containers"][0]["volumeMounts"]
        assert mount["name"] == volume["name"]
        assert f"--artifacts-dir={mount['mountPath']}" in server["containers"][0]["args"]
    # Of the operator's pod this is Flink's container, by its name.
    assert task_manager_pods()[1]["containers"][0]["name"] == "flink-main-container"


def test_the_image_takes_the_configuration_as_it_is_written() -> None:
    written = named("ConfigMap", "flink")["data"]["FLINK_PROPERTIES"]
    assert properties() == {key: str(value) for key, value in yaml.safe_load(written).items()}
    assert "#" not in written
    for name in ("flink-jobmanager", "flink-taskmanager"):
        flink = containers(named("Deployment", name))[0]
        assert flink["envFrom"] == [{"configMapRef": {"name": "flink"}}]
        assert not [one for one in flink.get("volumeMounts", []) if one["mountPath"].startswith("/opt/flink")]
    service = named("Service", "flink-jobmanager")
    assert properties()["jobmanager.rpc.address"] == service["metadata"]["name"]
    ports = {one["name"]: str(one["port"]) for one in service["spec"]["ports"]}
    assert properties()["blob.server.port"] == ports["blob"]


def test_the_operators_cluster_has_what_java_17_needs() -> None:
    assert DEPLOYMENT["spec"]["image"].endswith("-java17")
    given = DEPLOYMENT["spec"]["flinkConfiguration"]["env.java.opts.all"].split()
    for package in ("java.lang", "java.util", "java.time"):
        assert f"--add-opens=java.base/{package}=ALL-UNNAMED" in given


def operator_configuration() -> dict[str, str]:
    """Returns the configuration of the operator's cluster, with the memory that the operator adds."""
    spec = DEPLOYMENT["spec"]
    return {
        **spec["flinkConfiguration"],
        "jobmanager.memory.process.size": spec["jobManager"]["resource"]["memory"],
        "taskmanager.memory.process.size": spec["taskManager"]["resource"]["memory"],
    }


@pytest.mark.engines
@pytest.mark.parametrize("configuration", [properties(), operator_configuration()], ids=["image", "operator"])
def test_flink_starts_with_the_memory_that_it_is_given(
    configuration: dict[str, str], tmp_path: pathlib.Path
) -> None:
    if missing := what_is_missing():
        pytest.skip(missing)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(configuration))
    for command in ("GET_JM_RESOURCE_PARAMS", "GET_TM_RESOURCE_PARAMS"):
        done = subprocess.run(
            ["java", "-cp", f"{FLINK.path}/*", "org.apache.flink.runtime.util.bash.BashJavaUtils",
             command, "--configDir", str(tmp_path)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    # The network has the gigabyte that a woven pipeline takes.
    assert f"-D taskmanager.memory.network.min={2**30}b" in done.stdout


def test_the_program_takes_the_options_that_it_is_given() -> None:
    (flights,) = named("CronJob", "flights")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert flights["command"] == ["python", "-m", "pipelines.flights.batch"]
    assert FlightsOptions(flights["args"]).input == "s3://BUCKET/flights/*.csv"
    assert ObservabilityOptions(flights["args"]).obs_store == "s3://BUCKET/beam_obs"
