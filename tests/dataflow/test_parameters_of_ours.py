"""What our own options take is what a template's metadata says of them, so that a launch refuses the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[dataflow]'")

from beam_obs.dataflow.launch_parameters import parameter_problems  # noqa: E402 - which need it
from beam_obs.dataflow.template_parameters import template_parameters  # noqa: E402
from beam_obs.dataflow.template_settings import TemplateSettings  # noqa: E402
from beam_obs.dataflow.template_spec import template_metadata  # noqa: E402
from beam_obs.runs.option_names import OPTION_CLASSES  # noqa: E402
from beam_obs.runs.options import run_settings  # noqa: E402

NUMBERS = ["banana", "-1", "1.5", "1e3", ""]
SHARES = ["banana", "-0.1", "1.5", "2", "10%", "nan", "1e3", ".", ""]
OTHERS = ["banana", "", " ", "OFF"]
ADDRESSES = ["banana", "localhost:9091", "ftp://host", "http://", "http://:80", "https:///path", "//host"]
FILES = ["", " ", "gs://bucket/folder"]

VALUES: dict[str, tuple[list[str], list[str]]] = {
    "obs_store": (["gs://bucket/store", "runs", "my runs"], ["", " "]),
    "obs_store_shared": (["true", "False"], ["banana", "yes", "1"]),
    "obs_store_patience": (["0", "120"], NUMBERS),
    "obs_pipeline": (["flights", "a.b_c-1"], ["", "-a", "a b", "a/b", "a" * 129]),
    "obs_sample_rate": (["0", "128"], NUMBERS),
    "obs_output_cap": (["1", "10000", "007"], [*NUMBERS, "0", "00"]),
    "obs_max_dead_rate": (["0", "0.05", ".5", "1", "1.0", "0.", "0.5e-3"], SHARES),
    "obs_max_dead_minimum": (["1", "100"], [*NUMBERS, "0"]),
    "obs_payload": (["whole", "redacted", "none"], OTHERS),
    "obs_redact": (["email", "email,name", "e mail, name"], ["", ",", "email,", "a,,b", " "]),
    "obs_progress": (["auto", "on", "off"], OTHERS),
    "obs_report": (["text", "json", "off"], OTHERS),
    "obs_logs": (["attributes", "text", "json", "otlp", "off"], OTHERS),
    "obs_logs_per_line": (["0", "60"], NUMBERS),
    "obs_prometheus_port": (
        ["off", "0", "9464", "65535", "0.0.0.0:9464", "[::1]:1"],
        ["banana", "65536", "99999", "-1", "host:", "a/b:1", "http://host:9464", ""],
    ),
    "obs_pushgateway": (
        ["off", "http://localhost:9091", "https://user:word@gate.example.com/path/", "http://[::1]:9091"],
        ADDRESSES,
    ),
    "obs_textfile": (["off", "/var/lib/node_exporter", "out"], FILES),
    "obs_cloud_monitoring": (
        ["off", "my-project", "example.com:my-project", "1234567"],
        ["My-Project", "sky", "my_project", "my-project-", "", "a" * 31],
    ),
    "obs_otlp": (["off", "on", "http://collector:4318"], [*ADDRESSES, "On", ""]),
    "obs_statsd": (["off", "localhost:8125", "8125"], ["banana", "host:0", "host:65536", "a/b:1", ""]),
    "obs_json_lines": (["off", "-", "numbers.jsonl"], FILES),
    "obs_destination": (["off", "socket:socket"], ["banana", "a b:C", ":C", "a:", "a:b.c", ""]),
    "obs_lineage": (["woven", "off", "strict"], OTHERS[:3]),
    "obs_output_index": (["all", "sampled", "off"], OTHERS),
    "obs_lineage_filtered": (["all", "sampled", "off"], OTHERS),
    "obs_traces": (["auto", "off", "store", "otlp", "provider"], OTHERS),
    "obs_trace_share": (
        ["0.1", "0.1,parse=1", "a=b=0.5", "a step=.5,0"],
        [*SHARES, "parse=banana", "=0.1", " =0.1", "0.1,", "0.1,parse=2", "parse="],
    ),
}
"""By option: values that it takes, and values that it does not."""


@pytest.fixture(scope="module")
def metadata() -> Any:
    settings = TemplateSettings("pipelines.flights.batch", "flights")
    told = template_metadata(settings, template_parameters(settings))
    told["parameters"] = [one for one in told["parameters"] if one["name"].startswith("obs_")]
    return dataflow.TemplateMetadata.from_json(json.dumps(told))


def of_values(which: int) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name}={value[:12]}")
        for name, values in VALUES.items()
        for value in values[which]
    ]


def test_each_option_of_ours_has_values_here() -> None:
    class Names(list[str]):
        def add_argument(self, name: str, **_: Any) -> None:
            self.append(name.removeprefix("--"))

        def add_argument_group(self, _: str) -> Names:
            return self

    names = Names()
    for cls in OPTION_CLASSES:
        cls._add_argparse_args(names)  # type: ignore[arg-type]
    assert names == list(VALUES)


@pytest.mark.parametrize(("name", "value"), of_values(1))
def test_what_the_program_refuses_a_launch_does_too(name: str, value: str, metadata: Any) -> None:
    with pytest.raises((SystemExit, ValueError)):
        taken(name, value)
    assert parameter_problems(metadata, {name: value}), "it would be refused minutes later"


@pytest.mark.parametrize(("name", "value"), of_values(0))
def test_what_the_program_takes_a_launch_does_too(name: str, value: str, metadata: Any) -> None:
    taken(name, value)
    assert parameter_problems(metadata, {name: value}) == []


def taken(name: str, value: str) -> None:
    options = PipelineOptions([f"--{name}={value}"])
    for cls in OPTION_CLASSES:
        options.view_as(cls)
    run_settings(options)
