from __future__ import annotations

import pathlib
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import beam_obs as obs
from beam_obs.records.manifest import Manifest
from beam_obs.records.origin import Partition
from beam_obs.store.partitions_file import PARTITIONS, StampedSource, describe_partitions, read_partitions


def manifest(part: int, records: int, dead: int = 0, **details: Any) -> Manifest:
    partition = Partition("a.csv", "9-ab")
    told = {
        "path": "/data/a.csv",
        "name": "a.csv",
        "version": "9-ab",
        "partition": f"{partition.code:08x}",
        "size": 9,
        "dead": dead,
        "positions": "bytes",
    }
    return Manifest("inputs", "read", f"/data/a.csv#bytes={part}", records, details=told | details)


def test_ranges_of_a_file_are_one_partition() -> None:
    found = describe_partitions([manifest(0, 3, 1), manifest(5, 4, 1)], {"read": "ReadFromCsv"})

    assert found == [
        {
            "code": f"{Partition('a.csv', '9-ab').code:08x}",
            "name": "a.csv",
            "version": "9-ab",
            "located": True,
            "wide": False,
            "positions": "bytes",
            "uri": "/data/a.csv",
            "size": 9,
            "source": "read",
            "kind": "ReadFromCsv",
            "records": 7,
            "dead": 2,
        }
    ]


def test_positions_in_blocks_are_wide_whether_the_manifest_says_so_or_not() -> None:
    (found,) = describe_partitions([manifest(0, 3, positions="blocks", format="avro")], {})

    assert (found["wide"], found["kind"], found["format"]) == (True, "avro", "avro")


def test_sources_that_the_weave_gave_origins_are_there_too() -> None:
    made = StampedSource("make", "Create", Partition("make", ""))
    unlocated = Partition("read", "", located=False)
    queue = StampedSource("queue", "ReadFromPubSub", Partition("queue", "", located=False))

    found = describe_partitions(
        [manifest(0, 1)], {}, [made, made, StampedSource("read", "", unlocated), queue]
    )

    assert [(row["source"], row["located"], row["positions"], row["uri"]) for row in found] == [
        ("make", True, "index", None),
        ("queue", False, "", None),
        ("read", True, "bytes", "/data/a.csv"),
    ]


def _run(folder: pathlib.Path) -> tuple[obs.Store, Any]:
    (folder / "in.csv").write_text("id\n1\nx\n3\n")
    options = PipelineOptions([f"--obs_store={folder / 'store'}"])
    with obs.Pipeline(FnApiRunner(), options, name="parts") as pipeline:
        rows = pipeline | "read" >> obs.ReadFromCsv(str(folder / "in.csv"))
        more = pipeline | "make" >> beam.Create([{"id": "7"}])
        both = (rows, more) | "both" >> beam.Flatten()
        numbers = both | "parse" >> obs.Stage(beam.Map(lambda row: int(row["id"])))
        small = numbers | "small" >> beam.Filter(lambda number: number < 5)
        sums = small | "sum" >> beam.CombineGlobally(sum)
        sums | "write" >> beam.io.WriteToText(str(folder / "sums"))
        rows | "load" >> beam.Map(lambda row, all_sums: None, beam.pvalue.AsList(sums))
    store = obs.Store(str(folder / "store"))
    return store, store.find("latest")


def test_a_run_writes_its_partitions_when_it_ends_and_its_manifests_say_the_same(
    tmp_path: pathlib.Path,
) -> None:
    store, run = _run(tmp_path)

    kept = read_partitions(store, run.folder).rows
    store.files.delete(f"{run.folder}/{PARTITIONS}")
    of_manifests = read_partitions(store, run.folder, kinds={"read": "ReadFromCsv"}).rows

    assert [(row["source"], row["kind"], row["records"]) for row in kept] == [
        ("make", "Create", None),
        ("read", "ReadFromCsv", 3),
    ]
    assert of_manifests == kept[1:]


def test_the_end_says_where_lineage_began_and_ended_and_who_took_from_whom(tmp_path: pathlib.Path) -> None:
    _, run = _run(tmp_path)

    lineage = run.end["lineage"]
    assert lineage["opaque"] == {}
    assert (lineage["limit"], lineage["output_share"], lineage["filtered_share"]) == (1024, 1.0, 1 / 128)
    assert lineage["sinks"] == [{"label": "write", "uri": f"{tmp_path}/sums", "stamped": False}]
    assert lineage["ends"] == ["load"]
    assert lineage["sources"] == ["make", "read"]
    edges = {(edge["from"], edge["to"]): (edge["count"], edge["side"]) for edge in run.end["edges"]}
    assert edges["read", "both"] == (3, False)
    assert edges["parse", "small"] == (3, False)
    assert edges["read", "load"] == (3, False)
    assert edges["sum", "load"] == (None, True)
