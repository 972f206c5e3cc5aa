"""Both versions of the site through the pipeline: nothing is lost, and what is refused is kept.

What the pages hold is found here by other means than the pipeline's: the standard library's parser of
HTML, which knows nothing of selectors, and plain searches of the text.
"""

from __future__ import annotations

import collections
import csv
import html.parser
import json
import pathlib
import re
from typing import Any, NamedTuple

import fastavro
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.store.run_record import RunRecord
from pipelines.schedule import batch, demo
from pipelines.schedule.demo import PAGES
from pipelines.schedule.listings import decode_page
from pipelines.schedule.records import Page
from pipelines.schedule.sessions import COLUMNS

REFUSED_IN_V1 = {
    "Boat trip with band": "ends within the day",
    "Birds of a feather: small teams": "room is known",
    "Panel: who owns the dead letters?": "listed once",
}


class Cards(html.parser.HTMLParser):
    """The cards of a page: texts by class. The next card, or the next text with a class, ends one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cards: list[dict[str, str]] = []
        self._into: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = dict(attrs).get("class")
        if name == "session":
            self.cards.append(collections.defaultdict(str))
        if name or tag in ("footer", "hr"):
            self._into = name

    def handle_endtag(self, tag: str) -> None:
        if tag in ("span", "article", "div", "tr", "main"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self.cards and self._into:
            self.cards[-1][self._into] += data


class Scraped(NamedTuple):
    run: RunRecord
    rows: list[dict[str, str]]
    letters: list[dict[str, Any]]

    def refused_by(self, stage: str, error: str = "") -> list[dict[str, Any]]:
        return [one for one in self.letters if one["stage"] == stage and one["error_type"].endswith(error)]

    def counts(self, stage: str) -> tuple[int, int, int]:
        assert self.run.end
        (found,) = (one for one in self.run.end["stages"] if one["label"] == stage)
        return found["in"], found["out"], found["dead"]


class Runs(NamedTuple):
    folder: pathlib.Path
    v1: Scraped
    v2: Scraped
    v2_error: obs.DeadRateExceeded

    @property
    def store(self) -> obs.Store:
        return obs.Store(str(self.folder / "store"))


def scrape(folder: pathlib.Path, pages: str, name: str, destination: pathlib.Path) -> Scraped:
    """Runs the pipeline; an error of it is raised after nothing has been looked at."""
    batch.run(
        [
            "--runner=FnApiRunner",
            f"--input={pages}",
            f"--output={folder}/{name}/schedule",
            f"--destination={destination}",
            f"--obs_store={folder}/store",
            "--obs_report=off",
        ]
    )
    return look(folder, name)


def look(folder: pathlib.Path, name: str) -> Scraped:
    """Returns what the newest run left."""
    run = obs.Store(str(folder / "store")).find("schedule@latest")
    letters: list[dict[str, Any]] = []
    for path in sorted((folder / "store" / run.folder).glob("dead_letters-*.avro")):
        with path.open("rb") as file:
            letters.extend(fastavro.reader(file))  # type: ignore[arg-type]
    return Scraped(run, read_csv(folder / name / "schedule.csv"), letters)


def read_csv(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def text_of(version: str, page: str) -> str:
    return (PAGES / version / page).read_bytes().decode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("schedule")
    (folder / "site").mkdir()
    v1 = scrape(folder, f"{PAGES}/v1/*.html", "v1", folder / "site")
    with pytest.raises(obs.DeadRateExceeded) as error:
        scrape(folder, f"{PAGES}/v2/*.html", "v2", folder / "site")
    return Runs(folder, v1, look(folder, "v2"), error.value)


def test_the_schedule_is_what_the_pages_show(runs: Runs) -> None:
    shown = []
    for path in sorted((PAGES / "v1").glob("*.html")):
        for card in Cards(decode_page(Page(path.name, path.read_bytes()))).cards:
            texts = {name: " ".join(text.split()) for name, text in card.items()}
            shown.append(tuple(texts.get(name, "") for name in ("title", "start", "end", "room")))
    assert len(shown) == 64
    listed = collections.Counter(shown)
    for title in REFUSED_IN_V1:
        (of_title,) = (one for one in listed if one[0] == title)
        listed[of_title] -= 1
    written = collections.Counter(
        (row["title"], row["start"], row["end"], row["room"]) for row in runs.v1.rows
    )
    assert written == +listed


def test_pages_say_how_many_sessions_they_list_and_the_figures_add_up(runs: Runs) -> None:
    said = [
        int(number)
        for path in (PAGES / "v1").glob("*.html")
        for number in re.findall(r"(\d+) sessions", path.read_bytes().decode("latin-1"))
    ]
    assert sum(said) == 64 == len(runs.v1.rows) + len(runs.v1.letters)
    assert runs.v1.counts("list sessions") == (11, 64, 0)


def test_names_come_through_whole_from_entities_accents_and_old_charsets(runs: Runs) -> None:
    speakers = {row["title"]: row["speaker"] for row in runs.v1.rows}
    assert speakers["Welcome to Tideline"] == "Maren Østergaard"
    assert speakers["The cost of a dropped record"] == "Ruth O'Hanlon"
    assert speakers["Naïve Bayes, naïve me"] == "René Château"
    panel = "Maren Østergaard, Bálint Szőke, Priya Raghavendran"
    assert speakers["Panel: who owns the dead letters?"] == panel


def test_the_first_version_loses_three_sessions_each_by_its_assumption(runs: Runs) -> None:
    assert runs.v1.run.status == "done"
    refused = runs.v1.refused_by("check")
    assert len(refused) == len(runs.v1.letters) == 3
    for title, assumption in REFUSED_IN_V1.items():
        (letter,) = (one for one in refused if title in one["payload_text"])
        assert letter["error_message"].startswith(assumption)


def test_of_a_session_listed_twice_one_stays(runs: Runs) -> None:
    titles = collections.Counter(row["title"] for row in runs.v1.rows)
    assert titles["Panel: who owns the dead letters?"] == 1


def test_the_schedule_is_at_its_destination_as_written(runs: Runs) -> None:
    (uploaded,) = (runs.folder / "site").iterdir()
    assert uploaded.name == "schedule.csv"
    assert uploaded.read_bytes() == (runs.folder / "v1" / "schedule.csv").read_bytes()
    assert uploaded.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)


def test_the_second_version_ends_as_failed_with_all_of_it_kept(runs: Runs) -> None:
    assert runs.v2.run.status == "failed"
    assert runs.v2_error.stage == "upload"
    assert runs.v2.run.end
    assert runs.v2.run.end["balance"]["holds"]
    assert runs.v2.run.refused == len(runs.v2.letters) == 39


def test_each_break_of_the_second_version_is_told_by_where_it_is(runs: Runs) -> None:
    (renamed,) = runs.v2.refused_by("list sessions", ".NotAsListed")
    assert "2026-09-16-workshops.html says 5 sessions, found 0" in renamed["error_message"]
    (truncated,) = runs.v2.refused_by("list sessions", ".TruncatedPage")
    assert "2026-09-18-main.html ends at byte 2,747" in truncated["error_message"]
    (charset,) = runs.v2.refused_by("list sessions", ".WrongCharset")
    assert "lightning.html declares utf-8" in charset["error_message"]
    assert len(runs.v2.refused_by("list sessions")) == 3


def test_every_time_in_a_data_attribute_is_a_refusal_that_names_its_line(runs: Runs) -> None:
    places = set()
    for page in ("2026-09-16-main.html", "2026-09-17-main.html", "2026-09-18-main.html"):
        lines = text_of("v2", page).splitlines()
        begin = [number for number, line in enumerate(lines, 1) if 'class="session"' in line]
        whole = begin if lines[-1] == "</html>" else begin[:-1]
        places |= {f"{page}:{number}" for number in whole}
    refused = runs.v2.refused_by("parse", ".NoTime")
    assert {one["error_message"].partition(": ")[0] for one in refused} == places
    assert runs.v2.counts("parse") == (49, 29, len(places))


def test_every_split_name_is_a_session_without_a_speaker(runs: Runs) -> None:
    bylines = sum(
        text_of("v2", path.name).count('<p class="byline">') for path in (PAGES / "v2").glob("*streams*")
    )
    refused = [one for one in runs.v2.refused_by("check") if "has a speaker" in one["error_message"]]
    assert len(refused) == bylines == 14


def test_no_session_of_the_second_version_is_lost(runs: Runs) -> None:
    """Those that the pages claim are written, refused one by one, or on a page that is refused whole."""
    claimed = [
        (path.name, int(re.findall(r"(\d+) sessions", text_of("v2", path.name))[0]))
        for path in (PAGES / "v2").glob("*.html")
        if path.name != "index.html"
    ]
    on_refused_pages = {"2026-09-16-workshops.html": 5, "lightning.html": 6, "2026-09-18-main.html": 7 - 4}
    one_by_one = len(runs.v2.refused_by("parse")) + len(runs.v2.refused_by("check"))
    accounted = len(runs.v2.rows) + one_by_one + sum(on_refused_pages.values())
    assert sum(count for _, count in claimed) == accounted == 63


def test_a_refused_page_can_be_had_back_whole(runs: Runs) -> None:
    (letter,) = runs.v2.refused_by("list sessions", ".WrongCharset")
    assert (PAGES / "v2" / "lightning.html").read_bytes() in letter["payload"]


def test_a_schedule_that_lost_most_sessions_does_not_replace_a_good_one(runs: Runs) -> None:
    (letter,) = runs.v2.refused_by("upload", ".ScheduleShrank")
    assert "14 sessions would replace 61" in letter["error_message"]
    assert letter["payload_text"] == str(runs.folder / "v2" / "schedule.csv")
    assert len(read_csv(runs.folder / "site" / "schedule.csv")) == 61
    assert len(runs.v2.rows) == 14


def test_the_second_version_fails_where_there_is_nothing_to_replace_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "site").mkdir()
    with pytest.raises(obs.DeadRateExceeded) as error:
        scrape(tmp_path, f"{PAGES}/v2/*.html", "v2", tmp_path / "site")
    assert (error.value.stage, error.value.dead, error.value.taken) == ("parse", 20, 49)


def test_kinds_of_refusals_keep_their_fingerprint(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    (known,) = (one for one in runs.v1.letters if one["error_message"].startswith("room is known"))
    (again,) = (one for one in runs.v2.letters if one["error_message"].startswith("room is known"))
    assert known["fingerprint"] == again["fingerprint"]
    asked = ["dead-letters", "list", "--pipeline", "schedule", "--json", "--store", runs.store.uri]
    assert exit_code(asked) == 0
    kinds = {kind["fingerprint"]: kind for kind in map(json.loads, capsys.readouterr().out.splitlines())}
    assert kinds[again["fingerprint"]]["state"] == "recurring"
    assert kinds[runs.v2.refused_by("parse")[0]["fingerprint"]]["state"] == "new"


def test_an_upload_that_fails_is_a_dead_letter_and_fails_the_run(tmp_path: pathlib.Path) -> None:
    away = tmp_path / "away"
    with pytest.raises(obs.DeadRateExceeded, match="UploadFailed"):
        scrape(tmp_path, f"{PAGES}/v1/*.html", "v1", away)
    scraped = look(tmp_path, "v1")
    (letter,) = scraped.refused_by("upload", ".UploadFailed")
    assert "3 attempts" in letter["error_message"]
    assert f"kept at {tmp_path}/v1/schedule.csv" in letter["error_message"]
    assert len(scraped.rows) == 61
    assert not away.exists()


def test_a_pattern_without_pages_fails_the_run(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError, match=r"nothing/\*\.html"):
        scrape(tmp_path, f"{tmp_path}/nothing/*.html", "v1", tmp_path)


@pytest.mark.slow
def test_the_demo_tells_the_difference(capfd: pytest.CaptureFixture[str]) -> None:
    demo.main()
    printed = capfd.readouterr().out
    for heading in ("new  6", "recurring  1", "gone  2"):
        assert f"\n{heading}\n" in printed
    assert "has the 61 sessions of Tuesday" in printed
    assert re.search(r"parse +64 → 49 +-23.4% +64 → 29 +-54.7% +0 → 20", printed)
