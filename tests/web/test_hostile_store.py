"""A store that someone else wrote is shown as text: it adds nothing to a page, and no page breaks on it."""

from __future__ import annotations

import collections
import pathlib
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

import lxml.html
import pytest

from beam_obs.cli.main import exit_code
from beam_obs.store.store import Store
from beam_obs.web.static_site import write_site
from tests.chance import TRIES
from tests.web.conftest import Answer, Served, serving
from tests.web.hostile_stores import ATTACKS, HostileText, OddValues, hostile_store, make_running

SEEDS = TRIES or 4
"""How many stores of odd values are made."""

_ADDRESSES = "//@href | //@src | //@action | //@formaction | //@*[starts-with(name(), 'hx-get')]"


def objections(text: str, is_one_file: bool = False) -> list[str]:
    """Returns what a page has that none of ours may have.

    Args:
      text: the page.
      is_one_file: whether all that it needs is in it.
    """
    found = [f"character {letter!r}" for letter in set(text) if letter != "\n" and not letter.isprintable()]
    found += ["a template was filled in"] if "111111111" in text else []
    page = lxml.html.document_fromstring(text)
    static = re.compile(r"(/|(\.\./)*)static/[a-z_./]+\.js")
    for element in page.iter():
        if not isinstance(element.tag, str):
            continue
        if element.tag in ("iframe", "object", "embed", "base", "foreignobject"):
            found.append(f"element {element.tag}")
        if element.tag == "script" and (
            element.text or is_one_file or not static.fullmatch(element.get("src", ""))
        ):
            found.append("a script of another")
        if element.tag == "style" and not is_one_file:
            found.append("a style of another")
        found += [f"attribute {name}" for name in element.attrib if name.startswith("on") or name == "style"]
    for address in page.xpath(_ADDRESSES):
        parsed = urllib.parse.urlsplit(address)
        if (parsed.scheme or parsed.netloc) and not (is_one_file and address.startswith("data:image/")):
            found.append(f"address {address}")
    return found


def is_html(answer: Answer) -> bool:
    """Returns whether an answer is a page."""
    return answer.headers.get("content-type", "").startswith("text/html")


def crawled(served: Served, more: list[str]) -> Iterator[tuple[str, Any]]:
    """Gives the pages that links lead to, and more, each with its answer; of each kind of page a few."""
    waiting = collections.deque(["/", *more])
    seen = set(waiting)
    of_kind: collections.Counter[str] = collections.Counter()
    while waiting:
        path = waiting.popleft()
        kind = re.sub(r"[^/]*[0-9%][^/]*", "*", path.partition("?")[0])
        of_kind[kind] += 1
        if of_kind[kind] > 5:
            continue
        answer = served.get(path)
        yield path, answer
        if not is_html(answer):
            continue
        for address in lxml.html.document_fromstring(answer.text).xpath("//a/@href | //@*[name()='hx-get']"):
            target = address.partition("#")[0]
            if target.startswith("/") and target not in seen:
                seen.add(target)
                waiting.append(target)


def asked_beside(served: Served, attack: str) -> list[str]:
    """Returns paths that no link leads to, with an attack in each part of them."""
    quoted = urllib.parse.quote(attack.encode("utf-8", "surrogatepass"), safe="")
    run = served.store.ids()[0][0]
    return [
        f"/search?q={quoted}",
        f"/pipelines/{quoted}",
        f"/pipelines/{quoted}/kinds",
        f"/runs/{quoted}",
        f"/runs/{run}/step?label={quoted}",
        f"/runs/{run}/dead-letters?stage={quoted}&fingerprint={quoted}&text={quoted}&page={quoted}",
        f"/dead-letters/{quoted}",
        f"/records?at={quoted}:1&run={quoted}",
        f"/records/{quoted}?run={quoted}&first={quoted}",
        f"/differences/{quoted}/{quoted}",
        f"/differences?before={quoted}&after={quoted}",
        f"/api/runs?pipeline={quoted}",
        f"/{quoted}",
    ]


def check(served: Served, attack: str) -> int:
    """Looks at all pages; returns how many there were."""
    seen = 0
    for path, answer in crawled(served, asked_beside(served, attack)):
        seen += 1
        assert answer.status in (200, 303, 307, 404, 500), (path, answer)
        if is_html(answer):
            assert objections(answer.text) == [], path
            assert "<h1" in answer.text, path
            assert "mistake of beam_obs" not in answer.text, path
        else:
            assert path.startswith("/api/") or answer.status in (303, 307), (path, answer.text[:200])
    return seen


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.slow
def test_no_text_of_a_store_becomes_more_than_text(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    attack = ATTACKS[name]
    text = HostileText(attack)
    hostile_store(runs_folder / "store", tmp_path / "store", lambda _, value: text.of(value), attack)
    store = Store(tmp_path / "store")
    with serving(tmp_path) as served:
        assert check(served, attack) > 40
        write_site(store, str(tmp_path / "site"), letters_of_kind=1)
        for page in (tmp_path / "site").rglob("*.html"):
            assert objections(page.read_text()) == [], page
        one = tmp_path / "one.html"
        asked = ["show", store.ids()[0][0], "--store", str(tmp_path / "store"), "--html", str(one)]
        assert exit_code(asked) == 0
        assert objections(one.read_text(), is_one_file=True) == []
        make_running(tmp_path / "store")
    with serving(tmp_path) as served:
        assert check(served, attack) > 40


@pytest.mark.parametrize("seed", range(SEEDS))
def test_values_of_other_types_break_no_page(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path, seed: int
) -> None:
    odd = OddValues(seed, (0.02, 0.08, 0.3)[seed % 3])

    def changed(file: str, value: Any) -> Any:
        return value if file.endswith(".avro") else odd.of(file, value)

    hostile_store(runs_folder / "store", tmp_path / "store", changed)
    if seed % 2:
        make_running(tmp_path / "store")
    with serving(tmp_path) as served:
        assert check(served, "-1") > 20
    write_site(Store(tmp_path / "store"), str(tmp_path / "site"), letters_of_kind=1)
