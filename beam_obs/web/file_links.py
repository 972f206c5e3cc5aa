"""Addresses of pages that are written out as files: each is known when its page is whole.

A template is given a mark in place of an address. When the page is rendered, a mark becomes the relative name
of the file; a link to a page that is not written loses its address, and is text.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import posixpath
import re
import secrets
import urllib.parse
from collections.abc import Callable
from typing import Any, ClassVar

from beam_obs.store.store import Store
from beam_obs.web.links import Links

_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")


@dataclasses.dataclass(frozen=True)
class FileLinks(Links):
    """Addresses in pages that are written out.

    >>> links = FileLinks()
    >>> page = f'<a href="{links.run("01a2")}#steps">run</a> <a href="{links.search("x")}">all</a>'
    >>> links.filled_in(page, lambda address: "01a2.html" if address == "/runs/01a2" else None)
    '<a href="01a2.html#steps">run</a> <a>all</a>'
    """

    is_served: ClassVar[bool] = False
    # What a store says cannot have it, so that nothing but our own links is replaced.
    nonce: str = dataclasses.field(default_factory=lambda: f"link{secrets.token_hex(12)}n")
    addresses: list[str] = dataclasses.field(default_factory=list)

    def filled_in(self, html: str, name_of: Callable[[str], str | None]) -> str:
        """Returns a page with its links.

        Args:
          html: the page as it was rendered.
          name_of: gives what stands for an address, escaped; None where there is no such page.
        """

        def attribute(found: re.Match[str]) -> str:
            name = name_of(self.addresses[int(found[2])])
            return "" if name is None else f'{found[1]}"{name}{found[3] or ""}"'

        whole = re.sub(rf'(\s[\w:-]+=)"{self.nonce}(\d+)x(#[^"]*)?"', attribute, html)
        return re.sub(
            rf"{self.nonce}(\d+)x", lambda found: name_of(self.addresses[int(found[1])]) or "", whole
        )

    def style_sheets(self, html: str) -> list[tuple[str, str]]:
        """Returns the elements of a rendered page that link a file of style, each with its address."""
        return self._elements(html, rf'<link rel="stylesheet" href="{self.nonce}(\d+)x">')

    def scripts(self, html: str) -> list[tuple[str, str]]:
        """Returns the elements of a rendered page that run a file, each with its address."""
        return self._elements(html, rf'<script src="{self.nonce}(\d+)x"[^>]*></script>')

    def _elements(self, html: str, pattern: str) -> list[tuple[str, str]]:
        return [(found[0], self.addresses[int(found[1])]) for found in re.finditer(pattern, html)]

    def _at(self, path: str, **parameters: Any) -> str:
        self.addresses.append(super()._at(path, **parameters))
        return f"{self.nonce}{len(self.addresses) - 1}x"


def file_name(address: str) -> str:
    """Returns the name of the file of a page, relative to the folder of all: short, and safe anywhere.

    Args:
      address: of the page on a server at the root.

    >>> file_name("/"), file_name("/runs/01a223be-64f9"), file_name("/static/vendor/htmx.min.js")
    ('index.html', 'runs/01a223be-64f9.html', 'static/vendor/htmx.min.js')
    >>> file_name("/runs/01a2/step?label=read%2FCSV"), file_name("/pipelines/..")
    ('runs/01a2/step/read-csv-266c2b6e22.html', 'pipelines/7c076d0f9d.html')
    """
    path, _, query = address.partition("?")
    parts = [urllib.parse.unquote(part) for part in path.split("/")[1:]]
    if parts == [""]:
        return "index.html"
    if parts[0] == "static":
        return "/".join(parts)
    names = [_name_for(part) for part in parts]
    if query:
        names.append(_name_for(" ".join(text for _, text in urllib.parse.parse_qsl(query)), query))
    return "/".join(names) + ".html"


def relative(name: str, page: str) -> str:
    """Returns the address of a file as a page beside it has it.

    >>> relative("static/beam_obs.css", "runs/01a2.html"), relative("index.html", "index.html")
    ('../static/beam_obs.css', 'index.html')
    """
    return posixpath.relpath(name, posixpath.dirname(page) or ".")


def with_policy(html: str, policy: str) -> str:
    """Returns a page that tells browsers itself what they may load and run.

    >>> with_policy("<head></head>", "default-src data:")
    '<head>\\n<meta http-equiv="Content-Security-Policy" content="default-src data:"></head>'
    """
    told = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return html.replace("<head>", f"<head>\n{told}", 1)


def published_name(store: Store) -> str:
    """Returns the root of a store as pages say it that others get: no path of this machine."""
    return os.path.basename(store.uri) if os.path.isabs(store.shown_uri) else store.shown_uri


def _name_for(text: str, whole: str | None = None) -> str:
    """Returns a name of a file: a text that is plain as it is, of any other a part and a digest."""
    if whole is None and _PLAIN_NAME.fullmatch(text):
        return text
    digest = hashlib.blake2b((whole or text).encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()
    begins = _NOT_PLAIN.sub("-", text.lower()[:40]).strip("-")
    return f"{begins}-{digest}" if begins else digest
