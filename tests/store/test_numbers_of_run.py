"""Tests of the numbers that exporters send, from runs of a store."""

from __future__ import annotations

import pathlib

import apache_beam as beam

import beam_obs as obs
from beam_obs.metrics.own_families import OWN_FAMILIES
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.numbers_of_run import numbers_of_run


def numbers(tmp_path: pathlib.Path) -> RunNumbers:
    uri = str(tmp_path / "store")
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="small", store=uri) as p:
        _ = (
            p
            | "make" >> beam.Create(["1", "2", "x"])
            | "parse" >> obs.Stage(beam.Map(int))
            | "double" >> beam.Map(lambda number: number * 2)
        )
    return numbers_of_run(obs.Store(uri).find("small@latest"))


def value(found: RunNumbers, name: str, step: str = "", **labels: str) -> float | None:
    family = found.family(name)
    assert family is not None
    (sample,) = [one for one in family.samples if one.step == step and one.labels == labels]
    return sample.value


def test_a_finished_run_has_its_counts_and_how_it_went(tmp_path: pathlib.Path) -> None:
    found = numbers(tmp_path)
    assert found.is_final
    assert value(found, "beam_obs_records_in_total", "parse") == 3
    assert value(found, "beam_obs_records_out_total", "parse") == 2
    assert value(found, "beam_obs_records_dead_total", "parse", error="ValueError") == 1
    assert value(found, "beam_obs_records_in_total", "double") == 2
    assert value(found, "beam_obs_run_status", status="done") == 1
    assert value(found, "beam_obs_run_status", status="failed") == 0
    assert value(found, "beam_obs_run_balanced") == 1
    assert found.family("beam_obs_run_last_success_timestamp_seconds") is not None


def test_names_are_those_of_the_table_and_no_more_than_thirty(tmp_path: pathlib.Path) -> None:
    found = numbers(tmp_path)
    assert {
        family.name: (family.kind, family.help) for family in found.families
    }.items() <= OWN_FAMILIES.items()
    assert len(OWN_FAMILIES) <= 30
