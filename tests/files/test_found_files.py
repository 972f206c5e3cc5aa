from __future__ import annotations

import os
import pathlib

import pytest
from apache_beam.io.filesystem import CompressionTypes

from beam_obs.files.found_files import NoFilesFound, checked_pattern, find_files, fixed_part
from beam_obs.records.errors import UsageError


def _files(*names: str) -> None:
    for name in names:
        pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(name).write_bytes(b"x")


def test_names_are_relative_to_the_fixed_part_of_the_pattern() -> None:
    _files("data/2013/01.csv", "data/2014/01.csv")

    found = find_files(os.path.abspath("data/*/01.csv"), "read")

    assert [file.name for file in found] == ["2013/01.csv", "2014/01.csv"]


def test_a_single_file_goes_by_its_own_name() -> None:
    _files("data/01.csv")

    assert find_files(os.path.abspath("data/01.csv"), "read")[0].name == "01.csv"


@pytest.mark.parametrize(
    ("pattern", "fixed"),
    [
        ("gs://bucket/*.csv", "gs://bucket/"),
        ("gs://bucket/a/b[0-9]/c", "gs://bucket/a/"),
        ("s3://bucket/a/one.csv", "s3://bucket/a/"),
        ("/data/**/x?.csv", "/data/"),
    ],
)
def test_the_fixed_part_ends_before_the_first_wildcard(pattern: str, fixed: str) -> None:
    assert fixed_part(pattern) == fixed


def test_compressed_files_are_not_split() -> None:
    _files("in/a.csv", "in/b.csv.gz", "in/c.BZ2")

    found = find_files(os.path.abspath("in/*"), "read")

    assert [(file.compression, file.is_splittable) for file in found] == [
        (CompressionTypes.UNCOMPRESSED, True),
        (CompressionTypes.GZIP, False),
        (CompressionTypes.BZIP2, False),
    ]


def test_a_missing_file_is_named_with_the_read() -> None:
    with pytest.raises(NoFilesFound, match=r"read: there is no file ./nowhere/x\.csv") as raised:
        find_files("/nowhere/x.csv", "read")

    assert raised.value.pattern == "/nowhere/x.csv"


def test_a_relative_pattern_means_the_folder_the_pipeline_is_built_in() -> None:
    assert checked_pattern("in.csv") == os.path.abspath("in.csv")
    assert checked_pattern(pathlib.Path("in.csv")) == os.path.abspath("in.csv")
    assert checked_pattern("gs://bucket/in.csv") == "gs://bucket/in.csv"


@pytest.mark.parametrize("pattern", ["", None, 7])
def test_what_is_no_pattern_is_refused(pattern: object) -> None:
    with pytest.raises(UsageError, match="give a path or pattern"):
        checked_pattern(pattern)


@pytest.mark.parametrize("pattern", ["data", "data/", "da*a"])
def test_a_folder_is_no_file_and_is_told_what_to_write(pattern: str) -> None:
    _files("data/01.csv")

    if pattern == "da*a":
        with pytest.raises(NoFilesFound):
            find_files(os.path.abspath(pattern), "read")
        return
    with pytest.raises(
        UsageError, match=r"'.*data' is a folder: give a pattern of files, e\.g\. '.*data/\*'"
    ):
        find_files(os.path.abspath(pattern), "read")
