"""The numbers that Dataflow has of a job, from its API: counters, elements of outputs, watermarks of stages.

Each number is told twice, as committed and as ``tentative``, which is of attempts; either may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from apache_beam.metrics.cells import DistributionData, DistributionResult
from apache_beam.metrics.execution import MetricKey, MetricResult
from apache_beam.metrics.metric import MetricResults
from apache_beam.metrics.metricbase import MetricName

from beam_obs.metrics.dataflow_client import dataflow_client
from beam_obs.records.errors import MissingExtra

_OF_USERS, _OF_SERVICE = "user", "dataflow/v1b3"
_ELEMENTS, _MEAN_BYTES = "ElementCount", "MeanByteCount"
_OUTPUT = re.compile(r"(.+)-(out\d+)")
"""An output of a step, as the API names it: by its position."""
_WATERMARK = re.compile(r"(?:(.+?)[-_])?(?:DataWatermark|windmill-data-watermark)")
"""Of a stage, which stands before it, or in the context of the name."""
_MOST_MILLISECONDS = 1e14
"""A time since 1970 that is larger is of microseconds; as milliseconds it were after the year 5138."""
_PATIENCE_SECONDS = 60.0


class DataflowOutput(NamedTuple):
    """What is told of an output of a step.

    Args:
      step: label of the step.
      output: ``out`` and its position.
      elements: how many.
      mean_bytes: of an encoded element, estimated; None where it is not told.
    """

    step: str
    output: str
    elements: int
    mean_bytes: float | None


class Watermark(NamedTuple):
    """The watermark of a stage, which is one or more steps.

    Args:
      stage: as the runner names it.
      steps: labels of the user's steps that are in it; empty where that is not known.
      seconds: since 1970.
    """

    stage: str
    steps: tuple[str, ...]
    seconds: float


class DataflowMetrics(MetricResults):  # type: ignore[misc, unused-ignore]
    """Counters and distributions of a job, as Beam's results give them.

    Args:
      counters: results of counters.
      distributions: results of distributions.
    """

    def __init__(self, counters: list[MetricResult], distributions: list[MetricResult]) -> None:
        self._results = {self.COUNTERS: counters, self.DISTRIBUTIONS: distributions}

    def query(self, filter: Any = None) -> dict[str, list[MetricResult]]:
        """Returns those that match a filter."""
        return {
            kind: [one for one in results if self.matches(filter, one.key)]
            for kind, results in self._results.items()
        }


class DataflowNumbers(NamedTuple):
    """The numbers of a job.

    Args:
      metrics: of the user's namespaces and ours.
      outputs: of steps.
      watermarks: of stages; not of one that has none yet, or is at its end.
      knows_steps: whether the labels of all steps that have counters are known.
    """

    metrics: DataflowMetrics
    outputs: list[DataflowOutput]
    watermarks: list[Watermark]
    knows_steps: bool


def read_dataflow_metrics(
    metrics: Iterable[Any], labels: Mapping[str, str], stages: Mapping[str, tuple[str, ...]]
) -> DataflowNumbers:
    """Returns what the metrics of a job tell.

    Args:
      metrics: each a ``MetricUpdate``; what has no number is left out.
      labels: full labels of steps by the names that the metrics have for them.
      stages: labels of the steps in each stage.
    """
    told = list(metrics)
    counters = _by(told, _OF_USERS, _in_namespace, _whole)
    distributions = _by(told, _OF_USERS, _in_namespace, _distribution)
    elements = _by(told, _OF_SERVICE, lambda name: _output(name, _ELEMENTS), _number)
    sizes = _by(told, _OF_SERVICE, lambda name: _output(name, _MEAN_BYTES), _number)
    watermarks = _by(told, _OF_SERVICE, _stage_of_watermark, _number)
    of_users = [
        [
            MetricResult(
                MetricKey(labels.get(step, step), MetricName(namespace, name)),
                values.committed,
                values.tentative,
            )
            for (step, namespace, name), values in found.items()
        ]
        for found in (counters, distributions)
    ]
    return DataflowNumbers(
        DataflowMetrics(*of_users),
        [
            DataflowOutput(*key, int(values.best), sizes[key].best if key in sizes else None)
            for key, values in elements.items()
        ],
        [
            Watermark(stage, stages.get(stage, ()), _seconds(values.best))
            for stage, values in watermarks.items()
            if values.best >= 0  # -1 where there is none yet, -2 at the end of time
        ],
        all(step in labels for step, _, _ in (*counters, *distributions)),
    )


def numbers_of_result(result: Any) -> DataflowNumbers | None:
    """Returns the numbers of Dataflow's own result of a pipeline; None for any other."""
    metrics = getattr(result, "metric_results", None)
    client = getattr(metrics, "_dataflow_client", None)
    if metrics is None or client is None:
        return None
    graph = metrics._job_graph
    parts = graph.proto_pipeline.components.transforms if graph is not None else {}
    labels = {id_: step.unique_name for id_, step in parts.items()}
    return read_dataflow_metrics(client.get_job_metrics(result.job_id()).metrics, labels, {})


def numbers_of_job(job_id: str, project: str, region: str, endpoint: str | None = None) -> DataflowNumbers:
    """Returns the numbers of a job of Dataflow, whoever launched it.

    Args:
      job_id: its id.
      project: that it is in.
      region: that it is in.
      endpoint: of the service, as Beam's ``--dataflow_endpoint``; one that begins with ``http://`` is asked
        without encryption and credentials, for a service on this machine.

    Raises:
      MissingExtra: the ``gcp`` extra is not installed.
      Exception: what Google's client raises where the job cannot be asked for.
    """
    try:
        import google.cloud.dataflow_v1beta3 as dataflow
    except ImportError:
        raise MissingExtra("The numbers of a job of Dataflow", "gcp") from None
    of_job = {"job_id": job_id, "project_id": project, "location": region}
    asked = dataflow.GetJobRequest(view=dataflow.JobView.JOB_VIEW_ALL, **of_job)
    job = dataflow_client(dataflow.JobsV1Beta3Client, endpoint).get_job(asked, timeout=_PATIENCE_SECONDS)
    asked = dataflow.GetJobMetricsRequest(**of_job)
    answer = dataflow_client(dataflow.MetricsV1Beta3Client, endpoint).get_job_metrics(
        asked, timeout=_PATIENCE_SECONDS
    )
    return numbers_told(job, answer)


def numbers_told(job: Any, metrics: Any, labels: Mapping[str, str] | None = None) -> DataflowNumbers:
    """Returns the numbers of a job that the service told.

    Args:
      job: a ``Job`` with all that is known of it.
      metrics: its ``JobMetrics``.
      labels: full labels of steps by their ids, where somebody else knows them.
    """
    return read_dataflow_metrics(metrics.metrics, {**(labels or {}), **_labels_of(job)}, _stages_of(job))


def _labels_of(job: Any) -> dict[str, str]:
    steps = {step.name: (step.properties or {}).get("user_name") for step in job.steps}
    described = {
        step.id: step.name for step in job.pipeline_description.original_pipeline_transform if step.name
    }
    return {name: str(label) for name, label in steps.items() if label} | described


def _stages_of(job: Any) -> dict[str, tuple[str, ...]]:
    """Returns the labels of the steps of each stage, by each of its names."""
    found = {}
    for stage in job.pipeline_description.execution_pipeline_stage:
        labels = [part.original_transform or part.user_name for part in stage.component_transform]
        steps = tuple(dict.fromkeys(filter(None, labels)))
        found.update({stage.id: steps, stage.name: steps})
    return found


class _Told(NamedTuple):
    committed: Any = None
    tentative: Any = None

    @property
    def best(self) -> Any:
        found = self.committed if self.committed is not None else self.tentative
        assert found is not None
        return found


_Key = TypeVar("_Key", bound=Hashable)


def _by(
    metrics: Iterable[Any],
    origin: str,
    key_of: Callable[[Any], _Key | None],
    value_of: Callable[[Any], Any],
) -> dict[_Key, _Told]:
    """Returns values by what their names say; what has no key, or no such value, is left out."""
    found: dict[_Key, _Told] = {}
    for metric in metrics:
        key = key_of(metric.name) if metric.name.origin == origin else None
        value = value_of(metric) if key is not None else None
        if key is not None and value is not None:
            field = "tentative" if metric.name.context.get("tentative") == "true" else "committed"
            found[key] = found.get(key, _Told())._replace(**{field: value})
    return found


def _number(metric: Any) -> float | None:
    return float(metric.scalar) if isinstance(metric.scalar, (int, float)) else None


def _whole(metric: Any) -> int | None:
    number = _number(metric)
    return None if number is None else int(number)


def _distribution(metric: Any) -> DistributionResult | None:
    told = metric.distribution
    try:
        numbers = [int(told[field]) for field in ("sum", "count", "min", "max")]
    except (KeyError, TypeError, ValueError):  # none, or a histogram
        return None
    return DistributionResult(DistributionData(*numbers))


def _in_namespace(name: Any) -> tuple[str, str, str] | None:
    step, namespace = name.context.get("step"), name.context.get("namespace")
    return (step, namespace, name.name) if step and namespace else None


def _output(name: Any, metric: str) -> tuple[str, str] | None:
    match = _OUTPUT.fullmatch(name.context.get("output_user_name", ""))
    return (match[1], match[2]) if match is not None and name.name == metric else None


def _stage_of_watermark(name: Any) -> str | None:
    match = _WATERMARK.fullmatch(name.name)
    return None if match is None else match[1] or name.context.get("stage") or name.context.get("step", "")


def _seconds(value: float) -> float:
    return value / 1e6 if value > _MOST_MILLISECONDS else value / 1e3
