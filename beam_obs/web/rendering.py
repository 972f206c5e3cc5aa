"""Pages as HTML: one environment of Jinja, which escapes everything, and the words that all pages share."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import (
    bytes_text,
    clean,
    clean_lines,
    microseconds_text,
    seconds_text,
    short_code,
)
from beam_obs.reports.fitting import clipped, shortened
from beam_obs.reports.lineage_words import shown_uri
from beam_obs.store.run_record import parse_time
from beam_obs.web.links import Links
from beam_obs.web.page import Page
from beam_obs.web.web_extra import web_extra

if TYPE_CHECKING:
    import jinja2


def render(page: Page, links: Links, shared: Mapping[str, Any] | None = None) -> str:
    """Returns a page as HTML.

    Args:
      page: the page.
      links: addresses of the others.
      shared: what every page says, e.g. the name of the store.

    Raises:
      MissingExtra: the ``web`` extra is not installed.
    """
    values = {"page": page, "links": links, **(shared or {}), **page.values}
    return environment().get_template(page.template).render(values)


@functools.cache
def environment() -> jinja2.Environment:
    """Returns the environment that all templates are rendered in.

    Raises:
      MissingExtra: the ``web`` extra is not installed.
    """
    with web_extra():
        import jinja2
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("beam_obs.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Whatever a store has may hold control characters.
    made.finalize = _shown
    made.filters.update(
        count=lambda number: "–" if number is None else f"{number:,}",  # noqa: RUF001 - a dash stands for no number
        counted=counted,
        clipped=clipped,
        shortened=shortened,
        size=bytes_text,
        seconds=lambda seconds: "" if seconds is None else seconds_text(seconds),
        microseconds=lambda value: microseconds_text(value, "µs", "–"),  # noqa: RUF001
        moment=moment,
        ago=ago,
        span=span,
        place=shown_uri,
        short=lambda id: id[:SHORT_ID],
        lines=_lines,
        share=share,
        code=lambda version: short_code(version) if version else "",
    )
    return made


def compile_templates() -> None:
    """Reads all templates, which takes a quarter of a second, before any of them is asked for."""
    made = environment()
    for name in made.list_templates():
        made.get_template(name)


def _shown(value: Any) -> Any:
    return clean(value) if type(value) is str else value


def _lines(text: Any) -> Any:
    """Returns text of several lines, which a block of preformatted text shows as such."""
    import markupsafe

    return markupsafe.escape(clean_lines(text))


def moment(text: str) -> str:
    """Returns a time of the store as pages show it, always with its zone.

    >>> moment("2026-01-02T03:04:05.678901Z")
    '2026-01-02 03:04:05 UTC'
    """
    return f"{parse_time(text):%Y-%m-%d %H:%M:%S} UTC"


def ago(text: str, now: datetime.datetime | None = None) -> str:
    """Returns how long ago a time of the store was.

    >>> ago("2026-01-02T03:00:00Z", parse_time("2026-01-02T05:30:00Z"))
    '2 h ago'
    """
    now = now or datetime.datetime.now(datetime.timezone.utc)
    return f"{span((now - parse_time(text)).total_seconds())} ago"


def span(seconds: float) -> str:
    """Returns a length of time by its largest unit.

    >>> span(5_400), span(200_000), span(12.3)
    ('1 h', '2 d', '12 s')
    """
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(int(seconds), 0)} s"


def share(part: float | None, whole: float | None) -> str:
    """Returns a part of a whole in percent, never rounded to none or all.

    >>> share(1, 100_000), share(0, 10), share(99_999, 100_000), share(1, 8)
    ('<0.1 %', '0 %', '>99.9 %', '12.5 %')
    """
    if not whole or part is None:
        return ""
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f}".removesuffix(".0") + " %"
