"""From a page to what it lists."""

from __future__ import annotations

import pytest

from pipelines.schedule import listings
from pipelines.schedule.records import Page

CARD = """<article class="session"><h3 class="title">Late
 &amp; later</h3><p class="speaker">Ana</p><p><b class="start">09:00</b>-<b class="end">09:30</b></p>
<p class="room">Lagoon</p></article>"""


def page(body: str, name: str = "a.html", end: str = "</body></html>\n") -> Page:
    return Page(name, f"<html><body>{body}{end}".encode())


def schedule(cards: str, count: str = '<p class="count">1 session</p>') -> str:
    return f'<main data-day="2026-09-16" data-track="Streams">{count}{cards}</main>'


def test_a_card_gives_its_texts_and_its_place() -> None:
    (found,) = listings.list_sessions(page("<p>\n\n" + schedule(CARD)))
    assert found.title == "Late & later"
    assert (found.day, found.track, found.start, found.end) == ("2026-09-16", "Streams", "09:00", "09:30")
    assert (found.page, found.line) == ("a.html", 3)


def test_what_a_card_lacks_is_empty() -> None:
    (found,) = listings.list_sessions(page(schedule('<div class="session"></div>')))
    assert (found.title, found.speaker, found.start) == ("", "", "")


@pytest.mark.parametrize("cards", ["", CARD + CARD])
def test_another_number_than_the_page_says_refuses_it(cards: str) -> None:
    with pytest.raises(listings.NotAsListed, match=r"a\.html says 1 sessions, found"):
        list(listings.list_sessions(page(schedule(cards))))


def test_a_page_that_says_no_number_is_refused() -> None:
    with pytest.raises(listings.NotAsListed, match="does not say how many"):
        list(listings.list_sessions(page(schedule("", count=""))))


def test_only_a_page_known_to_list_nothing_may_do_so() -> None:
    assert list(listings.list_sessions(page("<main></main>", name="index.html"))) == []
    with pytest.raises(listings.NotAsListed):
        list(listings.list_sessions(page(schedule(CARD, count=""), name="index.html")))


def test_a_truncated_page_gives_all_but_the_last_and_then_raises() -> None:
    found = listings.list_sessions(page(schedule(CARD + CARD[:60]), end=""))
    assert next(found).title == "Late & later"
    with pytest.raises(listings.TruncatedPage, match="without </html>, in session 2 of 1"):
        next(found)


def test_an_empty_page_is_a_truncated_one() -> None:
    with pytest.raises(listings.TruncatedPage, match="is empty"):
        list(listings.list_sessions(Page("a.html", b"")))


@pytest.mark.parametrize("charset", ["utf-8", "no-such-charset"])
def test_another_charset_than_declared_is_refused(charset: str) -> None:
    with pytest.raises(listings.WrongCharset, match=f"a.html declares {charset}"):
        listings.decode_page(Page("a.html", f'<meta charset="{charset}">Åse'.encode("windows-1252")))


def test_without_a_declaration_a_page_is_utf_8() -> None:
    assert listings.decode_page(Page("a.html", "Åse".encode())) == "Åse"
