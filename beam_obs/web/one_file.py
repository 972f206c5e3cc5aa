"""The page of a run as one file, which needs nothing beside it: to mail, to attach, to print."""

from __future__ import annotations

import base64
import hashlib
import re

from beam_obs.lineage.readable_files import ReadableFiles
from beam_obs.store.run_record import RunRecord, now_text
from beam_obs.store.store import Store
from beam_obs.web.addressed_page import addressed_page
from beam_obs.web.application import STATIC
from beam_obs.web.file_links import FileLinks, file_name, published_name, with_policy
from beam_obs.web.links import Links
from beam_obs.web.rendering import moment, render
from beam_obs.web.stored_runs import StoredRuns

_PICTURES = {".svg": "image/svg+xml", ".png": "image/png"}

_WITHOUT_SCRIPT = ".copy { display: none; }"


def run_as_one_file(store: Store, record: RunRecord) -> str:
    """Returns the page of a run as HTML with its style and pictures in it, and no script.

    Links to other pages are text. A browser is told to load and run nothing.

    Args:
      store: of the run.
      record: the run.
    """
    own = Links().run(record.id)
    links = FileLinks(has_search=False)
    shared = {"store": published_name(store), "copied": f"written {moment(now_text())}"}
    html = render(addressed_page(StoredRuns(store), own, ReadableFiles()), links, shared)
    for element, _ in links.scripts(html):
        html = html.replace(element, "")
    # What is copied is copied by a script.
    html = html.replace("</head>", f"<style>{_WITHOUT_SCRIPT}</style>\n</head>", 1)
    digests = [_digest(_WITHOUT_SCRIPT)]
    for element, address in links.style_sheets(html):
        style = f"\n{(STATIC.parent / file_name(address)).read_text(encoding='utf-8')}"
        digests.append(_digest(style))
        html = html.replace(element, f"<style>{style}</style>")
    styles = " ".join(f"'sha256-{digest}'" for digest in digests)
    policy = f"default-src 'none'; style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'"
    return with_policy(links.filled_in(html, lambda address: _in_itself(address, own)), policy)


def _digest(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _in_itself(address: str, own: str) -> str | None:
    """Returns what stands for an address in a page that has nothing beside it."""
    if address == own:
        return ""
    kind = _PICTURES.get(re.sub(r".*(?=\.)", "", address)) if address.startswith("/static/") else None
    if kind is None:
        return None
    content = base64.b64encode((STATIC.parent / file_name(address)).read_bytes()).decode()
    return f"data:{kind};base64,{content}"
