"""One dead letter on a page: its record, error, source line, standing, and the same kind elsewhere."""

from __future__ import annotations

import pathlib
import pickle
import urllib.parse
from typing import Any

import apache_beam as beam
import lxml.html
import pytest

import beam_obs as obs
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import Store
from tests.web.conftest import Served, serving


def _page(served: Served, id: str) -> Any:
    answer = served.get(f"/dead-letters/{id}")
    assert answer.status == 200, answer.text
    return lxml.html.fromstring(answer.text)


def _letters(store: Store, run: str = "latest") -> list[Any]:
    return [letter for letter, _ in placed_letters(store, store.find(run))]


def _section(page: Any, name: str) -> str:
    (section,) = page.cssselect(f"section[aria-labelledby={name}]")
    return str(section.text_content())


def test_the_line_is_marked_among_its_neighbours(served: Served) -> None:
    letter = _letters(served.store, "orders@latest")[0]
    page = _page(served, letter.id)
    assert [row.text_content().strip() for row in page.cssselect(".is-marked")] == ["43,customer-3,n/a"]
    lines = [row.text_content().strip() for row in page.cssselect(".source-lines tr")]
    assert lines[0] == "21,customer-1,101"
    assert len(lines) == 5
    assert "verified" in _section(page, "source")


def test_error_standing_and_commands_are_told(served: Served) -> None:
    letter = _letters(served.store, "orders@latest")[0]
    page = _page(served, letter.id)
    assert page.cssselect("h1")[0].text == "ValueError"
    assert "invalid literal for int()" in page.cssselect(".error-message")[0].text_content()
    assert "parse_strictly" in _section(page, "traceback")
    facts = {dt.text: dt.getnext().text_content() for dt in page.cssselect("dt")}
    assert facts["counts"] == "yes: its bundle was committed"
    commands = [code.text for code in page.cssselect(".command code")]
    assert any(f"beam-obs dead-letters show {letter.id} --payload" in command for command in commands)
    hexadecimal = page.cssselect(".hex tr")[1].text_content()
    assert "33 2c 63" in hexadecimal
    assert "3,customer" in hexadecimal


def test_the_same_kind_in_other_runs_is_counted(served: Served) -> None:
    first = served.store.find(served.store.ids("orders")[-1][0])
    page = _page(served, _letters(served.store, first.id)[0].id)
    assert "2 of the 3 other runs looked at have this kind." in _section(page, "others")


def test_what_is_not_there_is_said(served: Served) -> None:
    run = served.store.find("orders@latest").id
    for id in (f"{run}.nothing", "nonsense", "ffff.1"):
        assert served.get(f"/dead-letters/{id}").status == 404


def _parse(record: Any) -> int:
    raise ValueError("x" * 100_000)


def _refuse_hostile(record: Any) -> int:
    raise ValueError(f"{HOSTILE} {record}")


HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e" + "é/x" * 70


class _Runs:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return (pathlib.Path.touch, (pathlib.Path("unpickled"),))


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of a run that refuses records of several coders, one of them large."""
    folder = tmp_path_factory.mktemp("refusing")
    argv = ["--obs_max_dead_rate=1", "--obs_report=off"]
    with obs.Pipeline("FnApiRunner", name="refusing", store=folder / "store", argv=argv) as p:
        fields = {"city": "rome", "fare": 12.5, "<b>": "\x1b[31m\u202e"}
        p | "fields" >> beam.Create([fields]) | "of fields" >> obs.Stage(beam.Map(_parse))
        p | "large" >> beam.Create([b"\x00" * 3_000_000]) | "of large" >> obs.Stage(beam.Map(_parse))
        (
            p
            | "code" >> beam.Create([pickle.dumps(1)])
            | beam.Map(lambda _: _Runs())
            | "of code" >> obs.Stage(beam.Map(_parse))
        )
        p | "harm" >> beam.Create([f"{HOSTILE}\0"]) | HOSTILE >> obs.Stage(beam.Map(_refuse_hostile))
    with serving(folder) as served:
        yield served


def test_what_means_harm_is_shown_as_text(refusing: Served) -> None:
    (letter,) = [one for one in _letters(refusing.store) if one.stage == HOSTILE]
    run = refusing.store.find("latest").id
    stage = urllib.parse.quote(HOSTILE)
    for path in (
        f"/dead-letters/{letter.id}",
        f"/runs/{run}/dead-letters",
        f"/runs/{run}/dead-letters?stage={stage}&text={stage}",
        f"/records/{letter.origin}?run={run}",
        f"/records?at={stage}:1",
    ):
        text = refusing.get(path).text
        assert "<script>alert" not in text, path
        assert not {"\x1b", "\u202e", "\0"} & set(text), path
        assert "&lt;script&gt;alert(1)" in text, path


def test_fields_are_a_table(refusing: Served) -> None:
    (letter,) = [one for one in _letters(refusing.store) if one.stage == "of fields"]
    page = _page(refusing, letter.id)
    rows = [[cell.text_content() for cell in row] for row in page.cssselect(".fields tbody tr")]
    assert rows == [["city", "rome"], ["fare", "12.5"], ["<b>", "\\x1b[31m\\u202e"]]


def test_a_large_record_and_a_long_message_make_no_large_page(refusing: Served) -> None:
    (letter,) = [one for one in _letters(refusing.store) if one.stage == "of large"]
    answer = refusing.get(f"/dead-letters/{letter.id}")
    assert len(answer.text) < 200_000
    assert "are too many to be decoded on a page" in answer.text
    assert "the first 1,024 of 3,000,000 bytes" in answer.text


def test_a_record_that_would_run_code_is_shown_as_text(
    refusing: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (letter,) = [one for one in _letters(refusing.store) if one.stage == "of code"]
    page = _page(refusing, letter.id)
    assert "may run code" in _section(page, "payload")
    assert list(tmp_path.iterdir()) == []
