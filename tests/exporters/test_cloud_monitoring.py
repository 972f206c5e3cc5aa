"""Numbers of runs reach Google Cloud Monitoring within its limits, and equal those of the store."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import pathlib
import time
from collections.abc import Iterator

import apache_beam as beam
import pytest
from google.api.distribution_pb2 import Distribution
from google.api.metric_pb2 import Metric, MetricDescriptor
from google.api.monitored_resource_pb2 import MonitoredResource
from google.api_core.exceptions import GoogleAPICallError, InvalidArgument, ServiceUnavailable
from google.cloud.monitoring_v3 import MetricServiceClient, Point, TimeInterval, TimeSeries, TypedValue

import beam_obs as obs
from beam_obs.exporters.cloud_monitoring import CloudMonitoring
from beam_obs.exporters.sending import NotAccepted, SendingExporter
from beam_obs.metrics.families import Family, Sample
from beam_obs.metrics.run_numbers import RunNumbers
from tests.exporters.cloud_monitoring_server import CloudMonitoringServer, running_cloud_monitoring
from tests.exporters.end_json import buckets_of, gauges_of, refusals_of, totals_of
from tests.patience import wait_until

TYPE = "custom.googleapis.com/beam_obs/"


@pytest.fixture
def cloud() -> Iterator[tuple[CloudMonitoringServer, MetricServiceClient]]:
    with running_cloud_monitoring() as server_and_client:
        yield server_and_client


Cloud = tuple[CloudMonitoringServer, MetricServiceClient]


def counted(rows: int, at: float, run: str = "1", series: int = 1, final: bool = False) -> RunNumbers:
    """Numbers of a run that began at the 0th second of a minute ago: so many rows in each series."""
    samples = tuple(Sample("use", {"shard": str(one)}, value=rows) for one in range(series))
    start = Family("beam_obs_run_start_timestamp_seconds", "gauge", (Sample("", value=BEGAN),))
    families = (Family("rows_total", "counter", samples), start)
    return RunNumbers("small", run, int((BEGAN + at) * 1_000_000), families, final)


BEGAN = float(int(time.time()) - 60)


def test_all_numbers_of_a_run_arrive_as_the_store_has_them(
    cloud: Cloud, numbers: RunNumbers, store_of_numbers: pathlib.Path
) -> None:
    server, client = cloud
    CloudMonitoring("weather", client).send(numbers)

    written = {
        (metric_type.removeprefix(TYPE), labels - {("pipeline", "numbers")}): points[0].value
        for (metric_type, labels, *_), points in server.points.items()
    }
    wanted = {
        **totals_of(store_of_numbers),
        **refusals_of(store_of_numbers),
        **gauges_of(store_of_numbers),
    }
    assert len(wanted) >= 10
    for (name, labels), value in wanted.items():
        ours = name.removeprefix("beam_obs_")
        assert written[ours if ours != name else f"instruments/{name}", labels] == pytest.approx(value)
    assert server.newest(f"{TYPE}run_status", status="done") == 1
    speed = server.newest(f"{TYPE}instruments/speed_ratio")
    assert (speed.count, speed.mean) == (200, pytest.approx(0.995))
    assert list(speed.bucket_options.explicit_buckets.bounds) == [0.5, 1, 2]
    (buckets,) = buckets_of(store_of_numbers).values()
    assert list(itertools.accumulate(speed.bucket_counts)) == list(buckets.values())


def test_metrics_are_described_once_with_units_and_texts(cloud: Cloud, numbers: RunNumbers) -> None:
    server, client = cloud
    CloudMonitoring("weather", client).send(numbers)
    made = server.calls.count("CreateMetricDescriptor")
    CloudMonitoring("weather", client).send(dataclasses.replace(numbers, at=numbers.at + 20_000_000, run="2"))

    assert made == len(server.descriptors)
    assert server.calls.count("CreateMetricDescriptor") == made
    latency = server.descriptors[f"{TYPE}latency_seconds"]
    assert (latency.unit, latency.value_type) == ("s", MetricDescriptor.ValueType.DISTRIBUTION)
    assert "Time that a stage took" in latency.description
    assert server.descriptors[f"{TYPE}instruments/wait_seconds_sum"].unit == "s"
    kinds = MetricDescriptor.MetricKind
    assert server.descriptors[f"{TYPE}records_in_total"].metric_kind == kinds.CUMULATIVE
    assert server.descriptors[f"{TYPE}instruments/wait_seconds_sum"].metric_kind == kinds.CUMULATIVE
    assert server.descriptors[f"{TYPE}instruments/recent_seconds_sum"].metric_kind == kinds.GAUGE


def test_a_new_label_is_added_to_what_is_described(cloud: Cloud) -> None:
    server, client = cloud
    target = CloudMonitoring("weather", client)
    target.send(counted(1, at=10))
    other = Family("rows_total", "counter", (Sample("use", {"colour": "red"}, value=2),))
    target.send(RunNumbers("other", "2", int((BEGAN + 10) * 1_000_000), (other,)))

    described = {label.key for label in server.descriptors[f"{TYPE}instruments/rows_total"].labels}
    assert described == {"pipeline", "stage", "shard", "colour"}
    assert server.newest(f"{TYPE}instruments/rows_total", colour="red") == 2


def test_more_series_than_a_request_takes_go_in_several(cloud: Cloud) -> None:
    server, client = cloud
    CloudMonitoring("weather", client).send(counted(7, at=10, series=450))
    assert server.calls.count("CreateTimeSeries") == 3
    assert server.newest(f"{TYPE}instruments/rows_total", shard="449") == 7
    assert len(server.points) == 451


def test_points_are_ten_seconds_apart_and_the_last_is_not_lost(cloud: Cloud) -> None:
    server, client = cloud
    target = CloudMonitoring("weather", client)
    for at in (10, 15, 20, 25):
        target.send(counted(int(at), at))
    target.send(counted(99, at=31, final=True))

    points = server.points[next(key for key in server.points if "instruments" in key[0])]
    assert [(point.end - BEGAN, point.value) for point in points] == [(10, 10), (20, 20), (31, 99)]
    assert {point.start for point in points} == {BEGAN}


def test_the_last_numbers_are_written_at_once_where_they_come_too_early(cloud: Cloud) -> None:
    server, client = cloud
    target = CloudMonitoring("weather", client)
    target.send(counted(1, at=10))
    began = time.monotonic()
    target.send(counted(2, at=12, final=True))

    assert time.monotonic() - began < 5
    points = server.points[next(key for key in server.points if "instruments" in key[0])]
    assert [(point.end - BEGAN, point.value) for point in points] == [(10, 1), (20, 2)]


def test_the_last_numbers_may_be_sent_again(cloud: Cloud) -> None:
    server, client = cloud
    target = CloudMonitoring("weather", client)
    for _ in range(2):
        target.send(counted(2, at=10, final=True))
    points = server.points[next(key for key in server.points if "instruments" in key[0])]
    assert [(point.end - BEGAN, point.value) for point in points] == [(10, 2), (20, 2)]


def test_what_was_written_before_a_failure_is_not_written_again(cloud: Cloud) -> None:
    server, client = cloud
    target = CloudMonitoring("weather", client)
    target.send(counted(1, at=10, series=250))
    wanted = counted(2, at=20, series=450)
    server.calls.clear()
    create = client.transport._wrapped_methods[client.transport.create_time_series]
    calls = []

    def away_at_second(*given: object, **named: object) -> object:
        calls.append(given)
        if len(calls) == 2:
            server.unavailable = 1
        return create(*given, **named)

    client.transport._wrapped_methods[client.transport.create_time_series] = away_at_second
    with pytest.raises(ServiceUnavailable):
        target.send(wanted)
    target.send(wanted)

    assert server.newest(f"{TYPE}instruments/rows_total", shard="0") == 2
    assert server.newest(f"{TYPE}instruments/rows_total", shard="449") == 2
    assert all(len(points) <= 2 for points in server.points.values())


def test_runs_are_tasks_of_their_pipeline_and_dataflow_jobs_are_jobs(cloud: Cloud) -> None:
    server, client = cloud
    target = CloudMonitoring("weather", client)
    target.send(counted(1, at=10))
    dataflow = {"runner": "DataflowRunner", "region": "europe-west1", "job_name": "nightly"}
    target.send(dataclasses.replace(counted(2, at=10, run="2"), attributes=dataflow))

    task = {"location": "global", "namespace": "beam_obs", "job": "small", "task_id": "1"}
    job = {"region": "europe-west1", "job_name": "nightly"}
    assert sorted(server.resources(), key=str) == [
        ("dataflow_job", {"project_id": "weather", **job}),
        ("generic_task", {"project_id": "weather", **task}),
    ]


def test_a_job_that_runs_again_begins_its_totals_anew(cloud: Cloud) -> None:
    server, client = cloud
    target = CloudMonitoring("weather", client)
    dataflow = {"runner": "DataflowRunner", "region": "europe-west1", "job_name": "nightly"}
    target.send(dataclasses.replace(counted(5, at=10, final=True), attributes=dataflow))
    later = Family("beam_obs_run_start_timestamp_seconds", "gauge", (Sample("", value=BEGAN + 20),))
    rows = counted(2, at=30, run="2").families[0]
    again = dataclasses.replace(counted(2, at=30, run="2"), families=(rows, later), attributes=dataflow)
    target.send(again)

    points = server.points[next(key for key in server.points if "instruments" in key[0])]
    assert [(point.start - BEGAN, point.end - BEGAN, point.value) for point in points] == [
        (0, 10, 5),
        (20, 30, 2),
    ]


def test_a_metric_that_was_of_another_kind_is_refused_and_the_others_are_written(cloud: Cloud) -> None:
    server, client = cloud
    kinds, types = MetricDescriptor.MetricKind, MetricDescriptor.ValueType
    gauge = MetricDescriptor(
        type=f"{TYPE}instruments/rows_total", metric_kind=kinds.GAUGE, value_type=types.INT64
    )
    client.create_metric_descriptor(name="projects/weather", metric_descriptor=gauge)
    with pytest.raises(NotAccepted, match="cannot be changed"):
        CloudMonitoring("weather", client).send(counted(1, at=10))
    assert server.newest(f"{TYPE}run_start_timestamp_seconds") == BEGAN


def test_numbers_that_are_too_old_are_not_sent(cloud: Cloud) -> None:
    server, client = cloud
    with pytest.raises(NotAccepted, match="25 hours"):
        CloudMonitoring("weather", client).send(counted(1, at=-26 * 3600, final=True))
    assert server.calls == []


def test_a_service_that_was_away_gets_them_when_it_is_back(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    server, client = cloud
    server.unavailable = 2
    exporter = SendingExporter(CloudMonitoring("weather", client))
    exporter.export(counted(3, at=10))
    wait_until("told", lambda: bool(server.points))
    assert exporter.close(10)
    assert server.newest(f"{TYPE}instruments/rows_total") == 3
    assert caplog.text.count("Cloud Monitoring of the project weather") == 1


def test_a_service_that_hangs_holds_nobody_up(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    server, client = cloud
    server.may_answer.clear()
    exporter = SendingExporter(CloudMonitoring("weather", client))
    exporter.export(counted(3, at=10, final=True))
    began = time.monotonic()
    assert not exporter.close(0.5)
    assert time.monotonic() - began < 5
    assert exporter.dropped("1") == 1


def test_a_project_that_is_not_ours_is_said(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    _, client = cloud
    caplog.set_level(logging.WARNING)
    exporter = SendingExporter(CloudMonitoring("elsewhere", client))
    exporter.export(counted(3, at=10, final=True))
    assert not exporter.close(10)
    assert "No permission for projects/elsewhere" in caplog.text


class LocalCloud(CloudMonitoring):
    """Writes to the server of a test, as a run's option names it."""

    client: MetricServiceClient

    def __init__(self) -> None:
        super().__init__("weather", self.client)


def test_a_run_writes_while_it_lives_and_at_its_end(
    cloud: Cloud, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, LocalCloud.client = cloud
    options = [f"--obs_destination={__name__}:LocalCloud", "--obs_report=off"]
    store = tmp_path / "store"
    with obs.Pipeline("FnApiRunner", argv=options, name="live", store=str(store)) as p:
        texts = p | beam.Create(["1", "2", "x"])
        _ = texts | "parse" >> obs.Stage(beam.Map(int)) | "wait" >> beam.Map(lambda _: time.sleep(0.2))

    told = totals_of(store)
    for (name, labels), value in told.items():
        metric_type = TYPE + name.removeprefix("beam_obs_")
        assert server.newest(metric_type, pipeline="live", **dict(labels)) == value
    assert server.newest(f"{TYPE}run_status", status="done") == 1
    assert len(server.points[next(key for key in server.points if key[0] == f"{TYPE}run_status")]) >= 2
    assert caplog.messages == []


# What the server refuses, as the service does: sent by the official client, past the exporter.


def series(
    end: float = 10.0, start: float | None = None, value: object = None, label: str = "x", **other: object
) -> TimeSeries:
    """A point of the metric ``rows``, right but for what a test gives."""
    interval = {"end_time": {"seconds": int(BEGAN + end)}}
    interval["start_time"] = {"seconds": int(BEGAN + (0.0 if start is None else start))}
    labels = {"project_id": "weather", "location": "global", "namespace": "n", "job": "j", "task_id": "t"}
    given: dict[str, object] = {
        "metric": Metric(type=f"{TYPE}rows", labels={"kind": label}),
        "resource": MonitoredResource(type="generic_task", labels=labels),
        "points": [Point(interval=TimeInterval(interval), value=value or TypedValue(int64_value=1))],
    }
    return TimeSeries(**(given | other))


@pytest.fixture
def described(cloud: Cloud) -> MetricServiceClient:
    _, client = cloud
    kinds, types = MetricDescriptor.MetricKind, MetricDescriptor.ValueType
    for name, value_type in (("rows", types.INT64), ("times", types.DISTRIBUTION)):
        descriptor = MetricDescriptor(
            type=f"{TYPE}{name}",
            metric_kind=kinds.CUMULATIVE,
            value_type=value_type,
            labels=[{"key": "kind"}],
        )
        client.create_metric_descriptor(name="projects/weather", metric_descriptor=descriptor)
    return client


def write(client: MetricServiceClient, *written: TimeSeries) -> None:
    client.create_time_series(name="projects/weather", time_series=list(written))


def test_the_server_takes_what_is_right_up_to_its_limits(described: MetricServiceClient) -> None:
    write(described, *(series(label=str(number)) for number in range(200)))
    write(described, series(20, label="0"), series(20, label="1" * 1024))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([series(label=str(number)) for number in range(201)], "201, at most 200"),
        ([], "at most 200"),
        ([series(), series()], "more than once"),
        ([series(points=[])], "exactly one point"),
        ([series(points=[*series(10).points, *series(20).points])], "exactly one point"),
        ([series(10, start=11)], "must be before"),
        ([series(10, start=10)], "must be before"),
        ([series(-26 * 3600, start=-27 * 3600)], "25 hours"),
        ([series(24 * 3600)], "five minutes"),
        ([series(label="x" * 1025)], "1024"),
        ([series(value=TypedValue(double_value=1.0))], "value type"),
        ([series(metric=Metric(type=f"{TYPE}rows", labels={"other": "x"}))], "metric label"),
        ([series(metric=Metric(type=f"{TYPE}cells"))], "not described"),
        ([series(resource=MonitoredResource(type="gcs_bucket"))], "gcs_bucket"),
        ([series(resource=MonitoredResource(type="generic_task", labels={"job": "j"}))], "labels of"),
    ],
)
def test_the_server_refuses_what_the_service_does(
    described: MetricServiceClient, wrong: list[TimeSeries], said: str
) -> None:
    with pytest.raises(InvalidArgument, match=said):
        write(described, *wrong)


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (series(10), "in order"),
        (series(5), "in order"),
        (series(19), "more frequently"),
        (series(20, start=5), "new start time"),
    ],
)
def test_the_server_holds_points_to_their_order(
    described: MetricServiceClient, later: TimeSeries, said: str
) -> None:
    write(described, series(10))
    with pytest.raises(InvalidArgument, match=said):
        write(described, later)
    write(described, series(20), series(10, label="another"))


@pytest.mark.parametrize(
    ("bounds", "counts", "count", "said"),
    [
        ([], [1], 1, "must increase"),
        ([1, 1], [1], 1, "must increase"),
        (list(range(200)), [1], 1, "too many"),
        ([1, 2], [1, 1, 1, 1], 4, "too many"),
        ([1, 2], [1, 1], 3, "must be the count"),
    ],
)
def test_the_server_looks_at_distributions(
    described: MetricServiceClient, bounds: list[float], counts: list[int], count: int, said: str
) -> None:
    explicit = Distribution.BucketOptions.Explicit(bounds=bounds)
    options = Distribution.BucketOptions(explicit_buckets=explicit)
    value = TypedValue(
        distribution_value=Distribution(count=count, bucket_counts=counts, bucket_options=options)
    )
    with pytest.raises(InvalidArgument, match=said):
        write(described, series(value=value, metric=Metric(type=f"{TYPE}times")))


@pytest.mark.parametrize(
    ("descriptor", "said"),
    [
        ({"type": "other.example.com/rows"}, "type"),
        ({"type": f"{TYPE}with space"}, "type"),
        ({"type": TYPE + "x" * 200}, "type"),
        ({"labels": [{"key": f"label{number}"} for number in range(31)]}, "31 of at most 30"),
        ({"labels": [{"key": "1st"}]}, "invalid key"),
        ({"labels": [{"key": "k" * 101}]}, "invalid key"),
        ({"metric_kind": MetricDescriptor.MetricKind.DELTA}, "metricKind"),
        ({"value_type": MetricDescriptor.ValueType.STRING}, "valueType"),
    ],
)
def test_the_server_refuses_descriptions_that_break_the_rules(
    cloud: Cloud, descriptor: dict[str, object], said: str
) -> None:
    _, client = cloud
    kinds, types = MetricDescriptor.MetricKind, MetricDescriptor.ValueType
    right = {"type": f"{TYPE}rows", "metric_kind": kinds.CUMULATIVE, "value_type": types.INT64}
    with pytest.raises(GoogleAPICallError, match=said):
        client.create_metric_descriptor(
            name="projects/weather", metric_descriptor=MetricDescriptor(**(right | descriptor))
        )
