"""Options of a pipeline for Dataflow: labels of its job, and what the service would refuse minutes later."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterable
from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions, StandardOptions, WorkerOptions

from beam_obs.records.dataflow_names import (
    CODE_LABEL,
    PIPELINE_LABEL,
    RUN_LABEL,
    as_label_value,
    job_name_problem,
    label_problems,
)
from beam_obs.records.errors import UsageError
from beam_obs.records.run_context import RunContext
from beam_obs.runs.template import DATAFLOW

_LOGGER = logging.getLogger(__name__)

_REGION = re.compile(r"[a-z]+(-[a-z]+)+[0-9]+")
_ZONE = re.compile(r"[a-z]+(-[a-z]+)+[0-9]+-[a-z]")
_WITHOUT_ENCRYPTION = "http://"
_OWN = (RUN_LABEL, PIPELINE_LABEL, CODE_LABEL)


def check_dataflow_options(runner: Any, options: Any) -> None:
    """Looks at the options of a pipeline for Dataflow before anything of it is staged; of others at none.

    Args:
      runner: the pipeline's runner.
      options: the pipeline's options.

    Raises:
      UsageError: Dataflow would refuse some; all of them are named.
    """
    if type(runner).__name__ not in DATAFLOW:
        return
    cloud = options.view_as(GoogleCloudOptions)
    problems = [*_name_problems(cloud), *_place_problems(cloud, options), *_worker_problems(options)]
    try:
        problems += [f"--labels: {problem}" for problem in label_problems(_labels(cloud.labels))]
    except ValueError as error:
        problems.append(f"--labels: {error}")
    if problems:
        raise UsageError("Dataflow would refuse this job:" + "".join(f"\n  {one}" for one in problems))
    endpoint = str(cloud.dataflow_endpoint or "")
    if endpoint.startswith(_WITHOUT_ENCRYPTION) and not endpoint.startswith("http://localhost"):
        _LOGGER.warning(
            "--dataflow_endpoint=%s: Beam asks an endpoint without encryption only where it is called "
            "localhost; this one is asked by gRPC with TLS",
            endpoint,
        )


def label_job(runner: Any, options: Any, context: RunContext) -> None:
    """Gives the job of a run labels that lead back to it; those of the user's own stay as they are.

    Args:
      runner: the pipeline's runner; nothing is done where it is not Dataflow's.
      options: the pipeline's options; their labels are replaced.
      context: the run.
    """
    if type(runner).__name__ not in DATAFLOW:
        return
    cloud = options.view_as(GoogleCloudOptions)
    given = {key: value for key, value in _labels(cloud.labels).items() if key not in _OWN}
    # Jobs that others start from a classic template have runs of their own.
    ours = {RUN_LABEL: context.run} if context.is_one_job else {}
    ours |= {PIPELINE_LABEL: as_label_value(context.pipeline), CODE_LABEL: as_label_value(context.code)}
    cloud.labels = [f"{key}={value}" for key, value in {**given, **ours}.items()]


def _labels(given: Any) -> dict[str, str]:
    """Returns labels as Beam takes them: ``key=value``, a mapping, or the text of one.

    Raises:
      ValueError: they are none of these.
    """
    found: dict[str, str] = {}
    for label in [given] if isinstance(given, (str, dict)) else given or ():
        if isinstance(label, str) and "{" in label:
            try:
                label = ast.literal_eval(label)
            except (SyntaxError, ValueError):
                raise ValueError(f"found {label!r}, expected KEY=VALUE, or a mapping") from None
        if isinstance(label, dict):
            found.update({str(key): str(value) for key, value in label.items()})
        else:
            key, _, value = str(label).partition("=")
            found[key] = value
    return found


def _name_problems(cloud: Any) -> Iterable[str]:
    problem = job_name_problem(cloud.job_name) if cloud.job_name else None
    if problem:
        yield f"--job_name: {problem}"
    if cloud.update and not cloud.job_name:
        yield "--update replaces a job that runs: name it with --job_name"


def _place_problems(cloud: Any, options: Any) -> Iterable[str]:
    if cloud.region and not _REGION.fullmatch(str(cloud.region)):
        yield f"--region: found {cloud.region!r}, expected a region as europe-west1, without a zone"
    workers = options.view_as(WorkerOptions)
    if getattr(workers, "worker_region", None) and getattr(workers, "worker_zone", None):
        yield "--worker_region and --worker_zone are given: write one of them"
    zone = getattr(workers, "worker_zone", None)
    if zone and not _ZONE.fullmatch(str(zone)):
        yield f"--worker_zone: found {zone!r}, expected a zone as europe-west1-b"


def _worker_problems(options: Any) -> Iterable[str]:
    workers = options.view_as(WorkerOptions)
    for name in ("num_workers", "max_num_workers", "disk_size_gb"):
        value = getattr(workers, name, None)
        if value is not None and int(value) < 0:
            yield f"--{name}: found {value}, expected a number that is not below 0"
    first, most = getattr(workers, "num_workers", None), getattr(workers, "max_num_workers", None)
    if first is not None and most and int(first) > int(most):
        yield f"--num_workers: found {first}, expected at most the {most} of --max_num_workers"
    streaming = bool(options.view_as(StandardOptions).streaming)
    flexible = options.view_as(GoogleCloudOptions).flexrs_goal
    if streaming and flexible:
        yield f"--flexrs_goal={flexible} is for batch jobs, and this one is --streaming"
