"""The pictures of the documentation: made by `make pictures`, and made so that they can be read.

Never held is that they are equal byte by byte: times, ids and the version of the code differ from run to run.
"""

from __future__ import annotations

import pathlib
import re
import shutil
from xml.etree import ElementTree

import pytest

from tests.conftest import make
from tests.svg_texts import outside, overlapping, squeezed, text_boxes
from tests.web.install_browser import COMMAND, browser_path

PROJECT = pathlib.Path(__file__).parent.parent
OF_PROMETHEUS = {"prometheus-dead", "prometheus-flow", "prometheus-latency"}
"""Those of Prometheus' own pages."""
OF_PAGES = {
    "web-dead-letter",
    "web-dead-letters",
    "web-difference",
    "web-history",
    "web-kinds",
    "web-pipelines",
    "web-record-dark",
    "web-record-light",
    "web-run-dark",
    "web-run-light",
    "web-search",
    "web-step",
    "web-trace",
}
"""The pictures of pages, in PNG."""
PICTURES = {"report.svg": "NotANumber: flight is 'N900PC'", "flights-graph.svg": "key by carrier and day"}
"""The drawings that the documentation shows, and a text that each has."""
_ABSOLUTE = re.compile(r"""(?:^|[\s'"(=:,])(?:/[\w.]|[A-Za-z]:\\)""")


def words_of(picture: str) -> list[str]:
    """All that a picture says: texts, tooltips and attributes."""
    said = []
    for element in ElementTree.fromstring(picture).iter():
        said += [element.text or "", element.tail or "", *element.attrib.values()]
    return [words.replace("\xa0", " ") for words in said]


def assert_readable(picture: str, expected: str) -> None:
    boxes = text_boxes(picture)
    assert len(boxes) > 40
    assert expected in " ".join(box.text.replace("\xa0", " ") for box in boxes)
    assert overlapping(boxes) == []
    assert squeezed(picture) == []
    assert outside(picture) == []
    assert [words for words in words_of(picture) if _ABSOLUTE.search(words)] == []


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_on_file_is_readable_and_names_no_path_of_a_machine(name: str) -> None:
    assert_readable((PROJECT / "docs" / name).read_text(encoding="utf-8"), PICTURES[name])


def test_the_pages_show_these_pictures_and_no_others() -> None:
    pages = [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]
    shown = {
        name for page in pages for name in re.findall(r"!\[[^]]*\]\((?:docs/)?([^)]+)\)", page.read_text())
    }
    made = {*PICTURES, *(f"{name}.png" for name in OF_PAGES | OF_PROMETHEUS)}
    assert shown == made
    assert {path.name for kind in ("*.svg", "*.png") for path in (PROJECT / "docs").glob(kind)} == made


@pytest.mark.parametrize("name", sorted(OF_PAGES | OF_PROMETHEUS))
def test_a_picture_of_a_page_is_small_and_as_wide_as_the_others(name: str) -> None:
    content = (PROJECT / "docs" / f"{name}.png").read_bytes()
    assert len(content) <= 200_000
    assert int.from_bytes(content[16:20], "big") == 1280


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_pictures_makes_them(clone_with_pictures: pathlib.Path) -> None:
    folder = clone_with_pictures
    for name, expected in PICTURES.items():
        picture = (folder / "docs" / name).read_text(encoding="utf-8")
        assert_readable(picture, expected)
        # Also where a long path was cut at its front.
        assert not [words for words in words_of(picture) if folder.name in words]


@pytest.mark.browser
@pytest.mark.skipif(browser_path() is None, reason=f"Chromium is not installed: {COMMAND}")
def test_make_pictures_makes_those_of_pages_too(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "pictures")
    assert {path.stem for path in (tmp_path / "docs").glob("*.png")} == (
        OF_PAGES | (OF_PROMETHEUS if shutil.which("prometheus") else set())
    )


def test_texts_that_lie_on_each_other_are_found() -> None:
    picture = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 100">
        <style>text{font-size:10px}</style>
        <g transform="translate(10,0)">
        <text x="0" y="20">twelve chars</text><text x="70" y="20">on it</text></g>
        <text x="84" y="50">beside</text><text x="10" y="50">twelve chars</text></svg>"""
    assert overlapping(text_boxes(picture)) == [("twelve chars", "on it")]
    assert outside(picture) == []
    assert outside(picture.replace("200 100", "112 100")) == ["beside"]
    assert squeezed(picture.replace('x="70"', 'x="70" textLength="50"')) == ["on it"]
