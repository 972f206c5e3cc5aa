"""A store that a runner's workers cannot reach is refused before anything starts."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.portability.spark_runner import SparkRunner

from beam_obs import Store, StoreOutOfReach
from beam_obs.runs.reach import check_reach, outlives_launcher


class DataflowRunner:
    """Stands in for Beam's, which needs packages of its own: only its name is looked at."""


REFUSED = [
    (DataflowRunner, []),
    (PrismRunner, ["--environment_type=DOCKER"]),
    (PortableRunner, ["--job_endpoint=localhost:8099"]),
    (FlinkRunner, ["--flink_master=cluster:8081"]),
    (FlinkRunner, ["--flink_master=localhost:8081"]),
    (
        FlinkRunner,
        ["--flink_master=cluster:8081", "--environment_type=EXTERNAL", "--environment_config=pool:50000"],
    ),
    (FlinkRunner, ["--flink_master=cluster:8081", "--environment_type=PROCESS"]),
    (SparkRunner, ["--spark_master_url=spark://cluster:7077"]),
]
TAKEN = [
    (FnApiRunner, []),
    (PrismRunner, []),
    (FlinkRunner, []),
    (FlinkRunner, ["--flink_master=cluster:8081", "--environment_type=LOOPBACK"]),
    (
        FlinkRunner,
        ["--flink_master=h:1", "--environment_type=EXTERNAL", "--environment_config=localhost:50000"],
    ),
    (PortableRunner, ["--job_endpoint=embed"]),
    (PortableRunner, ["--job_endpoint=localhost:8099", "--environment_type=LOOPBACK"]),
    (SparkRunner, []),
]


@pytest.mark.parametrize(("runner", "arguments"), REFUSED)
def test_a_local_store_is_refused(runner: type, arguments: list[str]) -> None:
    with pytest.raises(StoreOutOfReach, match="--obs_store=gs://"):
        check_reach(Store("local"), runner(), PipelineOptions(arguments))
    check_reach(Store("gs://bucket/store"), runner(), PipelineOptions(arguments))


@pytest.mark.parametrize(("runner", "arguments"), TAKEN)
def test_a_local_store_is_taken(runner: type, arguments: list[str]) -> None:
    check_reach(Store("local"), runner(), PipelineOptions(arguments))


def test_a_job_on_a_cluster_outlives_its_launcher() -> None:
    assert outlives_launcher(DataflowRunner(), PipelineOptions([]))
    assert outlives_launcher(
        FlinkRunner(), PipelineOptions(["--flink_master=c:1", "--environment_type=DOCKER"])
    )
    assert not outlives_launcher(
        FlinkRunner(), PipelineOptions(["--flink_master=c:1", "--environment_type=LOOPBACK"])
    )
    assert not outlives_launcher(FnApiRunner(), PipelineOptions([]))
