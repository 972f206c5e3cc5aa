"""Dead letters of a run on a page: kinds, letters, filters, and pages of them."""

from __future__ import annotations

import re
from typing import Any

import lxml.html

from beam_obs.store.letter_pages import PAGE_LETTERS
from tests.web.conftest import Served


def _page(served: Served, path: str) -> Any:
    answer = served.get(path)
    assert answer.status == 200, answer.text
    return lxml.html.fromstring(answer.text)


def _letters(page: Any) -> list[str]:
    return [link.get("href") for link in page.cssselect(".letters .entry-head a")]


def _newest(served: Served) -> str:
    return served.store.find("orders@latest").id


def test_kinds_are_told_with_counts_and_an_example_and_then_the_letters(served: Served) -> None:
    page = _page(served, f"/runs/{_newest(served)}/dead-letters")
    kinds = page.cssselect("[aria-labelledby=kinds] li")
    assert [re.sub(r"\s+", " ", kind.text_content()).strip()[:7] for kind in kinds] == ["7 parse", "6 parse"]
    assert "LookupError: no such customer: 'customer-6'" in kinds[0].text_content()
    assert "6,customer-6,106" in kinds[0].text_content()
    assert len(_letters(page)) == 13


def test_letters_are_filtered_by_stage_kind_and_text(served: Served) -> None:
    run = _newest(served)
    kinds = (served.store.find(run).end or {})["dead_letters"]["by_fingerprint"]
    of_kind = _page(served, f"/runs/{run}/dead-letters?fingerprint={kinds[0]['fingerprint']}")
    assert len(_letters(of_kind)) == 7
    assert len(_letters(_page(served, f"/runs/{run}/dead-letters?text=customer-6,n"))) == 1
    assert len(_letters(_page(served, f"/runs/{run}/dead-letters?stage=parse&text=n/a"))) == 6
    for filter in ("stage=other", "fingerprint=ffff", "text=nowhere", f"page={1 << 50}"):
        page = _page(served, f"/runs/{run}/dead-letters?{filter}")
        assert _letters(page) == []
        assert "No dead letter fits." in page.text_content()


def test_letters_go_on_on_the_next_page(served: Served) -> None:
    path = f"/runs/{_newest(served)}/dead-letters"
    every = _letters(_page(served, path))
    assert len(every) < PAGE_LETTERS
    behind = _page(served, f"{path}?page=10")
    assert _letters(behind) == every[10:]
    assert behind.cssselect("a[rel=prev]")[0].get("href") == path


def test_a_run_that_refused_nothing_says_so(served: Served) -> None:
    page = _page(served, f"/runs/{served.store.find('broken-orders@latest').id}/dead-letters")
    assert "This run has refused nothing." in page.text_content()
