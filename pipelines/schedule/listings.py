"""From a page of the site to the sessions that it lists.

A page says how many sessions it lists ("8 sessions"): a page on which another number is found is
refused as a whole, since a scraper that finds nothing looks like a site that has nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import html

from pipelines.schedule.records import Listing, Page

PAGES_WITHOUT_SESSIONS = frozenset({"index.html"})
"""Pages that list no session and do not say so. Any other page must say how many it lists."""

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_CHARSET_WITHIN = 1024


class WrongCharset(ValueError):
    """The page is not in the character set that it declares."""


class TruncatedPage(ValueError):
    """The page ends before its end."""


class NotAsListed(ValueError):
    """The page does not list as many sessions as it says, or does not say how many."""


def read_page(file: Any) -> Page:
    """Returns the page in a file that `fileio.ReadMatches` found."""
    return Page(file.metadata.path.replace("\\", "/").rpartition("/")[2], file.read())


def list_sessions(page: Page) -> Iterator[Listing]:
    """Gives the sessions that a page lists, in its order.

    Of a truncated page it gives all but the last, which may not be whole, and then raises.

    Raises:
      WrongCharset: the page is not in the character set that it declares.
      NotAsListed: the page does not list as many sessions as it says.
      TruncatedPage: the page ends before its end.
    """
    text = decode_page(page)
    if not text.strip():
        raise TruncatedPage(f"{page.name} is empty")
    document = html.document_fromstring(text)
    cards = document.cssselect("main .session")
    said = _count(document)
    if not re.search(r"</html\s*>\s*$", text, re.IGNORECASE):
        yield from (_listing(page.name, card) for card in cards[:-1])
        of = "" if said is None else f" of {said}"
        raise TruncatedPage(
            f"{page.name} ends at byte {len(page.content):,} without </html>, in session {len(cards)}{of}"
        )
    if said is None and page.name in PAGES_WITHOUT_SESSIONS and not cards:
        return
    if said != len(cards):
        says = "does not say how many sessions it lists" if said is None else f"says {said} sessions"
        raise NotAsListed(f"{page.name} {says}, found {len(cards)} by 'main .session'")
    yield from (_listing(page.name, card) for card in cards)


def decode_page(page: Page) -> str:
    """Returns the text of a page, by the character set that it declares; UTF-8 where it declares none.

    >>> decode_page(Page("a.html", '<meta charset="windows-1252">Åse'.encode("windows-1252")))[-3:]
    'Åse'

    Raises:
      WrongCharset: it is in another.
    """
    declared = _CHARSET.search(page.content[:_CHARSET_WITHIN])
    charset = declared[1].decode("ascii") if declared else "utf-8"
    try:
        return page.content.decode(charset)
    except (UnicodeDecodeError, LookupError) as error:
        raise WrongCharset(f"{page.name} declares {charset}: {error}") from None


def _count(document: Any) -> int | None:
    """Returns how many sessions the page says it lists."""
    for element in document.cssselect("main .count"):
        number = re.match(r"\s*(\d+) sessions?\b", element.text_content())
        if number:
            return int(number[1])
    return None


def _listing(page: str, card: Any) -> Listing:
    schedule = next(card.iterancestors("main"))
    return Listing(
        page=page,
        line=card.sourceline,
        day=card.get("data-day") or schedule.get("data-day") or "",
        track=schedule.get("data-track") or "",
        title=_text(card, ".title"),
        speaker=_text(card, ".speaker"),
        room=_text(card, ".room"),
        start=_text(card, ".start"),
        end=_text(card, ".end"),
    )


def _text(card: Any, selector: str) -> str:
    """Returns the text of the first element, without line breaks; nothing where there is none."""
    return next((" ".join(element.text_content().split()) for element in card.cssselect(selector)), "")
