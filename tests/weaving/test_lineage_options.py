from __future__ import annotations

import pathlib

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_obs.weaving.hook import weaving
from beam_obs.weaving.lineage_options import weave_settings, weaving_as_asked
from beam_obs.weaving.settings import WeaveSettings


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], WeaveSettings(evidence="folder")),
        (["--obs_lineage=off"], None),
        (["--obs_lineage=woven"], WeaveSettings(evidence="folder")),
        (["--obs_lineage=strict"], WeaveSettings(strict=True, evidence="folder")),
        (
            ["--obs_lineage=woven", "--obs_output_index=off"],
            WeaveSettings(evidence="folder", output_share=0.0),
        ),
        (["--obs_lineage_filtered=all"], WeaveSettings(evidence="folder", filtered_share=1.0)),
        (["--obs_lineage_filtered=off"], WeaveSettings(evidence="folder", filtered_share=0.0)),
    ],
)
def test_options_say_how_to_weave(
    arguments: list[str], wanted: WeaveSettings | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Gauges that other tests have made are none of these pipelines'.
    monkeypatch.setattr("beam_obs.weaving.lineage_options.are_any_kept", lambda: False)
    assert weave_settings(PipelineOptions(arguments), "folder") == wanted


def test_a_wrong_option_is_refused() -> None:
    with pytest.raises(SystemExit):
        weave_settings(PipelineOptions(["--obs_lineage=maybe"]), None)


def test_a_person_who_looks_at_a_pipeline_sees_it_as_it_is() -> None:
    pipeline = beam.Pipeline(FnApiRunner())
    pipeline | "make" >> beam.Create([1, 2])

    with weaving(WeaveSettings()) as reports:
        proto = pipeline.to_runner_api()

    assert (proto, reports) == (pipeline.to_runner_api(), [])


def test_a_pipeline_is_woven_where_its_options_ask_for_it(tmp_path: pathlib.Path) -> None:
    pipeline = beam.Pipeline(FnApiRunner(), PipelineOptions(["--obs_lineage=woven"]))
    pipeline | "make" >> beam.Create([1, 2])

    with weaving_as_asked(pipeline.options, str(tmp_path)) as reports:
        pipeline.run()

    assert [str(report) for report in reports] == [
        f"lineage: {len(reports[0].woven)} of {len(reports[0].woven)} transforms"
    ]
    assert beam.Pipeline.to_runner_api.__module__ == "apache_beam.pipeline"
