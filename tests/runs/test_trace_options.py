"""Options of traces and the standard variables beside them: what share of records, and where to."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_obs.records.errors import UsageError
from beam_obs.records.run_context import RunContext
from beam_obs.records.trace_settings import OTLP, TraceSettings
from beam_obs.runs.trace_options import TraceOptions, trace_settings
from beam_obs.traces.sampling import threshold_of

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
RUN = "01a225d2-39d2-7375-86b5-c45439c6492f"


def settings_of(arguments: list[str], **variables: str) -> TraceSettings | None:
    context = RunContext("trips", RUN)
    return trace_settings(PipelineOptions(arguments), context, True, variables)


@pytest.mark.parametrize("text", ["2", "-1", "nan", "", "10%", "=0.5", "0.1,=1", "0.1, =1", "parse=", "1,"])
def test_what_is_no_share_is_a_wrong_argument(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _ = PipelineOptions([f"--obs_trace_share={text}"]).view_as(TraceOptions).obs_trace_share

    assert ended.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "argument --obs_trace_share: found" in told
    assert "expected a share between 0 and 1" in told


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"OTEL_TRACES_SAMPLER": "allways_on"}, "'allways_on'"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"}, "'10%'"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "'2'"),
    ],
)
def test_a_sampler_that_gives_no_share_is_told(
    variables: dict[str, str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of([], **variables)

    assert settings is not None
    assert settings.threshold == threshold_of(0.01)
    (message,) = caplog.messages
    assert told in message


def test_no_exporter_of_traces_means_no_traces_unless_an_option_asks_for_them() -> None:
    none = {"OTEL_TRACES_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "always_on", **ENDPOINT}

    assert settings_of([], **none) is None
    assert settings_of(["--obs_trace_share=1"], **none) is not None


def test_otlp_may_be_one_of_several_exporters() -> None:
    settings = settings_of([], **{"OTEL_TRACES_EXPORTER": "console, otlp", **ENDPOINT})

    assert settings is not None
    assert (settings.target, settings.endpoint) == (OTLP, "http://localhost:4318/v1/traces")


def test_names_of_samplers_are_taken_in_capitals_and_an_empty_variable_is_none() -> None:
    settings = settings_of([], OTEL_TRACES_SAMPLER="Always_On")
    assert settings is not None
    assert settings.threshold == threshold_of(1)
    assert settings_of([], OTEL_TRACES_SAMPLER="") is None


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
def test_a_protocol_without_an_exporter_is_refused_where_spans_go_by_it(name: str) -> None:
    variables = {**ENDPOINT, name: "http/json"}

    with pytest.raises(UsageError, match=f"{name} is 'http/json'.*: set it to http/protobuf or grpc"):
        settings_of([], **variables)
    assert settings_of(["--obs_traces=store"], **variables) is not None
    assert settings_of(["--obs_traces=off"], **variables) is None


def test_the_protocol_of_traces_goes_before_that_of_all_signals() -> None:
    of_all = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", **ENDPOINT}

    settings = settings_of([], OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc", **of_all)

    assert settings is not None
    assert (settings.protocol, settings.endpoint) == ("grpc", "http://localhost:4318")
