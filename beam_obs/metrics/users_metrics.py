"""A result's metrics as the user knows them: under the labels of their own steps, without ours beside them.

A Stage is a composite, and Beam names a counter by the step inside of it. Ours are there for who asks for
their namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apache_beam.metrics.execution import MetricKey, MetricResult
from apache_beam.metrics.metric import MetricResults

from beam_obs.metrics.names import NAMESPACE, users_step


class UsersMetrics(MetricResults):
    """Metrics of a result.

    Args:
      metrics: as Beam gives them.
    """

    def __init__(self, metrics: Any) -> None:
        self._of_beam = metrics

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_of_beam":
            raise AttributeError(name)
        return getattr(self._of_beam, name)

    def query(self, filter: Any = None) -> dict[str, list[MetricResult]]:
        """Returns what matches a filter; of ours only what a filter with our namespace matches."""
        shows_ours = filter is not None and NAMESPACE in filter.namespaces
        return {
            kind: [_renamed(one) for one in results if shows_ours or one.key.metric.namespace != NAMESPACE]
            for kind, results in self._of_beam.query(filter).items()
        }


def users_metrics(metrics: Callable[[], Any]) -> Callable[[], UsersMetrics]:
    """Returns what gives the metrics of a result, in place of Beam's method for it."""
    return lambda: UsersMetrics(metrics())


def _renamed(result: MetricResult) -> MetricResult:
    key = result.key
    step = users_step(str(key.step)) if key.step else key.step
    if step == key.step:
        return result
    renamed = MetricKey(step, key.metric, labels=key.labels)
    return MetricResult(renamed, result.committed, result.attempted)
