"""Dead letters a page at a time: together the pages have each letter once, and none before a row is read."""

from __future__ import annotations

import pathlib
import shutil

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.records.wanted_letters import ALL_LETTERS, WantedLetters
from beam_obs.store.letter_pages import letter_page
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import Store
from tests.shared_runs import made_once

_COUNT = 1_500
"""So many that files have indexes."""


def _parse(text: str) -> int:
    if text.endswith("7"):
        raise LookupError("ends in seven")
    return int(text)


def _refuse(value: int) -> int:
    raise ValueError("all of them")


def _run(folder: pathlib.Path) -> None:
    argv = [f"--obs_store={folder / 'store'}", "--obs_report=off", "--obs_max_dead_rate=1"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="refusing") as pipeline:
        texts = pipeline | beam.Create([f"{'x' if number % 2 else ''}{number}" for number in range(_COUNT)])
        texts | "parse" >> obs.Stage(beam.Map(_parse)) | "refuse" >> obs.Stage(beam.Map(_refuse))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of one run, of two stages that refuse."""
    return Store(made_once(tmp_path_factory, "refusing", _run) / "store")


@pytest.mark.parametrize(
    "wanted",
    [
        ALL_LETTERS,
        WantedLetters(stage="refuse"),
        WantedLetters(stages=("parse", "refuse"), text="12"),
        WantedLetters(stages=("parse",)),
        WantedLetters(text="7"),
        WantedLetters(stages=()),
    ],
)
def test_pages_together_have_each_letter_once(store: Store, wanted: WantedLetters) -> None:
    record = store.find("latest")
    ids: list[str] = []
    first: int | None = 0
    while first is not None:
        page = letter_page(store, record, wanted, first, 200)
        assert page.problems == ()
        ids += [letter.id for letter, _ in page.letters]
        first = page.next
    assert ids == [letter.id for letter, _ in placed_letters(store, record, wanted)]
    assert bool(ids) is (wanted.stages != ())


def test_a_page_behind_the_last_letter_is_empty(store: Store) -> None:
    page = letter_page(store, store.find("latest"), first=1 << 40)
    assert (page.letters, page.next) == ((), None)


def test_a_file_that_is_not_on_a_page_is_not_read(store: Store, tmp_path: pathlib.Path) -> None:
    copied = Store(shutil.copytree(str(store.uri), tmp_path / "store"))
    record = copied.find("latest")
    first = min((tmp_path / "store").rglob("dead_letters-*.avro"))
    first.unlink()
    parsed = (record.end or {})["dead_letters"]["by_stage"]["parse"]
    assert letter_page(copied, record, first=parsed).problems == ()
    assert "is missing" in letter_page(copied, record).problems[0]
