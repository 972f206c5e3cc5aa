"""The documentation leads somewhere, and promises only what there is."""

from __future__ import annotations

import pathlib
import re

import pytest

PROJECT = pathlib.Path(__file__).parent.parent
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "pipelines/**/*.md", "templates/**/*.md")
    for page in PROJECT.glob(pattern)
)
TO_COME = {"exporter": "exporters", "replay": "replay"}
"""Words for what is planned, and the rooms that will have it."""
USER_PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
PAGES_FOR_BUILDERS = ("architecture.md",)
"""They may say where a thing to come will go."""
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors_of(page: pathlib.Path) -> set[str]:
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_relative_links_lead_to_files_and_headings(page: pathlib.Path) -> None:
    broken = []
    for target in _LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors_of(file)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("word", TO_COME)
def test_no_page_speaks_of_what_is_not_there_yet(word: str) -> None:
    if (PROJECT / "beam_obs" / TO_COME[word]).exists():
        return
    pages = [page for page in USER_PAGES if page.name not in PAGES_FOR_BUILDERS]
    assert [page.name for page in pages if word in page.read_text().lower()] == []


def test_every_page_is_found_from_the_readme_and_in_the_site() -> None:
    linked = set(_LINK.findall((PROJECT / "README.md").read_text()))
    site = set((PROJECT / "docs/index.md").read_text().splitlines())
    pages = [page for page in USER_PAGES[1:] if page.stem != "index"]
    assert [page.name for page in pages if f"docs/{page.name}" not in linked] == []
    assert [page.name for page in pages if page.stem not in site] == []


def test_every_make_target_and_benchmark_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    missing = []
    for page in PAGES:
        text = page.read_text()
        missing += [name for name in re.findall(r"`make ([a-z-]+)", text) if name not in targets]
        for module in re.findall(r"python -m ((?:benchmarks|pipelines)[.\w]+)", text):
            if not (PROJECT / f"{module.replace('.', '/')}.py").exists():
                missing.append(module)
    assert missing == []
