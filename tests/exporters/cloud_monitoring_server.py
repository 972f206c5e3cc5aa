"""A server of this machine that speaks as Google Cloud Monitoring does, and refuses what that refuses.

The methods that a writer calls, over the official types. The limits are those of
https://cloud.google.com/monitoring/quotas, the rules of points those of `TimeInterval` and `Distribution` in
the official protos, the resources those that custom metrics may have by
https://cloud.google.com/monitoring/custom-metrics/creating-metrics. What is wrong with a series is told, and
the others of its request are written. Left out is only that the service makes up what is not described.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
from google.api.metric_pb2 import MetricDescriptor
from google.cloud.monitoring_v3 import (
    CreateMetricDescriptorRequest,
    CreateTimeSeriesRequest,
    CreateTimeSeriesSummary,
    ListMetricDescriptorsRequest,
    ListMetricDescriptorsResponse,
    MetricServiceClient,
    TimeSeries,
)
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport
from google.protobuf import any_pb2, empty_pb2
from google.rpc import code_pb2, status_pb2

MOST_SERIES = 200
LEAST_SECONDS = 10
MOST_LABELS = 30
MOST_KEY_CHARACTERS = 100
MOST_VALUE_CHARACTERS = 1024
MOST_TYPE_CHARACTERS = 200
MOST_BUCKETS = 200
OLDEST_SECONDS = 25 * 3600
NEWEST_SECONDS = 5 * 60

_TYPE = re.compile(r"custom\.googleapis\.com(/[A-Za-z0-9][A-Za-z0-9_.]*)+")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESOURCES = {
    "dataflow_job": {"project_id", "region", "job_name"},
    "generic_node": {"project_id", "location", "namespace", "node_id"},
    "generic_task": {"project_id", "location", "namespace", "job", "task_id"},
    "global": {"project_id"},
}
_KINDS = MetricDescriptor.MetricKind
_TYPES = MetricDescriptor.ValueType
_FIELDS = {
    "bool_value": _TYPES.BOOL,
    "int64_value": _TYPES.INT64,
    "double_value": _TYPES.DOUBLE,
    "distribution_value": _TYPES.DISTRIBUTION,
}


class WrittenPoint(NamedTuple):
    """A point as it was written: seconds since 1970, and its value of the official type."""

    start: float
    end: float
    value: Any


class CloudMonitoringServer:
    """What was described and written, and how the server is to fail.

    Args:
      project: the one that it has.
    """

    def __init__(self, project: str) -> None:
        self.name = f"projects/{project}"
        self.descriptors: dict[str, MetricDescriptor] = {}
        self.points: dict[tuple[Any, ...], list[WrittenPoint]] = {}
        self.calls: list[str] = []
        self.unavailable = 0
        """How many writes are still to fail as if the server was away."""
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._lock = threading.Lock()

    def newest(self, metric_type: str, **labels: str) -> Any:
        """Returns the newest value of the one series that has these labels of the metric, or more."""
        (points,) = [
            points
            for (of_type, of_labels, *_), points in self.points.items()
            if of_type == metric_type and labels.items() <= dict(of_labels).items()
        ]
        return points[-1].value

    def resources(self) -> list[tuple[str, dict[str, str]]]:
        """Returns the resources that were written to."""
        return [(kind, dict(labels)) for kind, labels in {key[2:] for key in self.points}]

    def create_metric_descriptor(self, request: Any, context: grpc.ServicerContext) -> MetricDescriptor:
        wanted = request.metric_descriptor
        known = self.descriptors.get(wanted.type)
        wrong = _wrong_descriptor(wanted)
        if known is not None and (known.metric_kind, known.value_type) != (
            wanted.metric_kind,
            wanted.value_type,
        ):
            wrong = f"Metric kind and value type of {wanted.type} cannot be changed."
        if wrong:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, wrong)
        made = MetricDescriptor()
        made.CopyFrom(wanted)
        if known is not None:
            # They are never removed.
            new = {label.key for label in wanted.labels}
            made.labels.extend(label for label in known.labels if label.key not in new)
        self.descriptors[wanted.type] = made
        return made

    def list_metric_descriptors(self, request: Any, context: grpc.ServicerContext) -> Any:
        prefix = re.fullmatch(r'metric\.type = starts_with\("(.*)"\)', request.filter)
        if prefix is None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Not known here: {request.filter}")
        found = [one for name, one in self.descriptors.items() if name.startswith(prefix[1])]
        return ListMetricDescriptorsResponse(metric_descriptors=found)

    def create_time_series(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        series = request.time_series
        if not 0 < len(series) <= MOST_SERIES:
            text = f"Field timeSeries had an invalid value: {len(series)}, at most {MOST_SERIES} are allowed."
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        keys: set[Any] = set()
        refused = []
        for position, one in enumerate(series):
            key = _key(one)
            wrong = (
                "Field timeSeries has the series more than once." if key in keys else self._wrong(one, key)
            )
            keys.add(key)
            if wrong:
                refused.append(f"timeSeries[{position}]: {wrong}")
                continue
            interval, value = one.points[0].interval, one.points[0].value
            point = WrittenPoint(
                interval.start_time.timestamp() if interval.start_time else interval.end_time.timestamp(),
                interval.end_time.timestamp(),
                getattr(value, _field(value)),
            )
            self.points.setdefault(key, []).append(point)
        if refused:
            summary = CreateTimeSeriesSummary(
                total_point_count=len(series), success_point_count=len(series) - len(refused)
            )
            detail = any_pb2.Any()
            detail.Pack(CreateTimeSeriesSummary.pb(summary))
            text = f"One or more TimeSeries could not be written: {'; '.join(refused[:5])}"
            status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=text, details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        return empty_pb2.Empty()

    def _wrong(self, series: TimeSeries, key: Any) -> str | None:
        """Returns what is wrong with a series."""
        descriptor = self.descriptors.get(series.metric.type)
        if descriptor is None:
            return f"The metric {series.metric.type} is not described."
        labels = dict(series.metric.labels)
        if not labels.keys() <= {label.key for label in descriptor.labels}:
            return f"Unrecognized metric label in {sorted(labels)}."
        if any(len(value) > MOST_VALUE_CHARACTERS for value in labels.values()):
            return f"A label value has more than {MOST_VALUE_CHARACTERS} characters."
        if series.resource.type not in _RESOURCES:
            return f"The monitored resource {series.resource.type} cannot be used with custom metrics."
        if set(series.resource.labels) != _RESOURCES[series.resource.type]:
            return f"The labels of {series.resource.type} are {sorted(_RESOURCES[series.resource.type])}."
        if f"projects/{series.resource.labels['project_id']}" != self.name:
            return "The resource is of another project."
        if len(series.points) != 1:
            return "Field points must have exactly one point."
        point = series.points[0]
        if _FIELDS.get(_field(point.value)) != descriptor.value_type:
            return "The value type differs from that of the metric."
        if series.metric_kind and series.metric_kind != descriptor.metric_kind:
            return "The metric kind differs from that of the metric."
        if descriptor.value_type == _TYPES.DISTRIBUTION and (
            wrong := _wrong_distribution(point.value.distribution_value)
        ):
            return wrong
        return self._wrong_interval(point.interval, descriptor.metric_kind, self.points.get(key, []))

    def _wrong_interval(self, interval: Any, kind: int, before: list[WrittenPoint]) -> str | None:
        end = interval.end_time.timestamp()
        start = interval.start_time.timestamp() if interval.start_time else end
        if start > end:
            return "The start time must be before the end time."
        if kind == _KINDS.GAUGE and start != end:
            return "The start time of a gauge must be its end time."
        if kind == _KINDS.CUMULATIVE and start == end:
            return "The start time of a cumulative metric must be before its end time."
        if end < time.time() - OLDEST_SECONDS:
            return "The end time is more than 25 hours in the past."
        if end > time.time() + NEWEST_SECONDS:
            return "The end time is more than five minutes in the future."
        if not before:
            return None
        last = before[-1]
        if end <= last.end:
            return "Points must be written in order."
        if end < last.end + LEAST_SECONDS - 1e-6:
            return "Points were written more frequently than the maximum sampling period."
        if kind == _KINDS.CUMULATIVE and start != last.start and start < last.end + 0.001:
            return "A new start time must be after the end time of the last point."
        return None


@contextlib.contextmanager
def running_cloud_monitoring(
    project: str = "weather",
) -> Iterator[tuple[CloudMonitoringServer, MetricServiceClient]]:
    """Gives a server and the official client of it."""
    service = CloudMonitoringServer(project)
    methods: dict[str, tuple[Callable[..., Any], Any, Any]] = {
        "CreateMetricDescriptor": (
            service.create_metric_descriptor,
            CreateMetricDescriptorRequest.deserialize,
            MetricDescriptor.SerializeToString,
        ),
        "ListMetricDescriptors": (
            service.list_metric_descriptors,
            ListMetricDescriptorsRequest.deserialize,
            ListMetricDescriptorsResponse.serialize,
        ),
        "CreateTimeSeries": (
            service.create_time_series,
            CreateTimeSeriesRequest.deserialize,
            empty_pb2.Empty.SerializeToString,
        ),
    }

    def handler(name: str) -> grpc.RpcMethodHandler:
        method, taken, given = methods[name]

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            service.calls.append(name)
            service.may_answer.wait()
            with service._lock:
                if service.unavailable and name == "CreateTimeSeries":
                    service.unavailable -= 1
                    context.abort(grpc.StatusCode.UNAVAILABLE, "The service is away.")
                if request.name != service.name:
                    context.abort(grpc.StatusCode.PERMISSION_DENIED, f"No permission for {request.name}.")
                return method(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, taken, given)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    handlers = {name: handler(name) for name in methods}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("google.monitoring.v3.MetricService", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    try:
        yield service, MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))
    finally:
        service.may_answer.set()
        channel.close()
        server.stop(None).wait(10)


def _wrong_descriptor(descriptor: MetricDescriptor) -> str | None:
    if _TYPE.fullmatch(descriptor.type) is None or len(descriptor.type) > MOST_TYPE_CHARACTERS:
        return f"Field metricDescriptor.type had an invalid value of {descriptor.type!r}."
    if len(descriptor.labels) > MOST_LABELS:
        return f"Field metricDescriptor.labels: {len(descriptor.labels)} of at most {MOST_LABELS}."
    for label in descriptor.labels:
        if _KEY.fullmatch(label.key) is None or len(label.key) > MOST_KEY_CHARACTERS:
            return f"Field metricDescriptor.labels had an invalid key of {label.key!r}."
    if descriptor.metric_kind not in (_KINDS.GAUGE, _KINDS.CUMULATIVE):
        return "Field metricDescriptor.metricKind: custom metrics are gauges or cumulative."
    if descriptor.value_type not in _FIELDS.values():
        return "Field metricDescriptor.valueType had an invalid value."
    if descriptor.metric_kind == _KINDS.CUMULATIVE and descriptor.value_type == _TYPES.BOOL:
        return "Cumulative metrics are numbers."
    return None


def _wrong_distribution(distribution: Any) -> str | None:
    bounds = list(distribution.bucket_options.explicit_buckets.bounds)
    counts = list(distribution.bucket_counts)
    if not bounds or any(later <= earlier for earlier, later in itertools.pairwise(bounds)):
        return "The bounds of explicit buckets must increase."
    if len(bounds) + 1 > MOST_BUCKETS or len(counts) > len(bounds) + 1:
        return "There are too many buckets."
    if any(count < 0 for count in counts) or sum(counts) != distribution.count:
        return "The sum of the counts of buckets must be the count."
    if not distribution.count and distribution.mean:
        return "The mean of no values must be zero."
    return None


def _key(series: TimeSeries) -> tuple[Any, ...]:
    metric, resource = series.metric, series.resource
    return (
        metric.type,
        frozenset(metric.labels.items()),
        resource.type,
        frozenset(resource.labels.items()),
    )


def _field(value: Any) -> str:
    return str(type(value).pb(value).WhichOneof("value"))
