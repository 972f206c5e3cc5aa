"""Instruments on real engines: a float gauge, quantiles and buckets of values that came in many bundles."""

from __future__ import annotations

from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from tests.engines.flink.cluster import running_cluster
from tests.engines.prism import prism_options
from tests.metrics.bundled_values import check_kept, check_values, in_bundles

pytestmark = pytest.mark.engines


def test_on_prism_they_say_the_same_as_on_one_worker(tmp_path: Path) -> None:
    options = [*prism_options(), f"--obs_store={tmp_path}", "--obs_progress=off", "--obs_report=off"]
    with obs.Pipeline("PrismRunner", options=PipelineOptions(options), name="values") as p:
        in_bundles(p)
    (run,) = obs.Store(str(tmp_path)).runs()
    assert run.end is not None
    # Prism now and then loses what it counted in a bundle of a new stage; evidence it does not lose.
    check_kept(run.end["instruments"])


@pytest.mark.slow
def test_on_flink_they_say_the_same_as_on_one_worker(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_cluster(tmp_path_factory.mktemp("flink")) as cluster:
        options = [*cluster.options, f"--obs_store={tmp_path}", "--obs_progress=off", "--obs_report=off"]
        with obs.Pipeline(options=PipelineOptions(options), name="values") as p:
            in_bundles(p)
    (run,) = obs.Store(str(tmp_path)).runs()
    assert run.end is not None
    check_values(run.end["instruments"])
