"""Pages that are written out as files: they lead to each other, and to nothing else."""

from __future__ import annotations

import functools
import http.server
import json
import pathlib
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import lxml.html
import pytest

import beam_obs as obs
from beam_obs.store.store import Store
from beam_obs.web.site_folder import MARKER, NotASite
from beam_obs.web.static_site import write_site

HOSTILE = "<script>alert(1)</script>\x1b[31m" + "é/x" * 70


def fail(value: str) -> str:
    raise ValueError(f"{HOSTILE} {value}")


@pytest.fixture(scope="session")
def site(runs_folder: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a site; tests only read it."""
    folder = tmp_path_factory.mktemp("site-of-pipelines")
    write_site(Store(runs_folder / "store"), str(folder), letters_of_kind=2)
    return folder


@pytest.fixture(scope="session")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The site of a run whose label and errors mean harm."""
    folder = tmp_path_factory.mktemp("hostile-site")
    quiet = ["--obs_report=off"]
    with obs.Pipeline("FnApiRunner", argv=quiet, name="Hostile", store=folder / "store") as pipeline:
        _ = pipeline | beam.Create(["a", "b", "c"]) | HOSTILE >> obs.Stage(beam.Map(fail))
    write_site(Store(folder / "store"), str(folder / "site"))
    return folder / "site"


@pytest.fixture(params=["site", "hostile_site"])
def any_site(request: pytest.FixtureRequest) -> pathlib.Path:
    """One after the other."""
    found: pathlib.Path = request.getfixturevalue(request.param)
    return found


def pages(site: pathlib.Path) -> Iterator[tuple[pathlib.Path, Any]]:
    for path in sorted(site.rglob("*.html")):
        yield path, lxml.html.document_fromstring(path.read_bytes())


def test_every_link_leads_to_a_file_that_is_there(any_site: pathlib.Path) -> None:
    links = [
        (path, link)
        for path, page in pages(any_site)
        for link in page.xpath("//@href | //@src | //@action | //@*[starts-with(name(), 'hx-get')]")
        if not link.startswith("#")
    ]
    assert links
    for path, link in links:
        parsed = urllib.parse.urlsplit(link)
        assert (parsed.scheme, parsed.netloc) == ("", ""), link
        assert not parsed.path.startswith("/"), link
        target = (path.parent / urllib.parse.unquote(parsed.path)).resolve()
        assert target.is_file(), (path, link)
        assert target.is_relative_to(any_site), link


def test_every_page_is_reached_from_the_first(any_site: pathlib.Path) -> None:
    waiting, reached = [any_site / "index.html"], {any_site / "index.html"}
    while waiting:
        path = waiting.pop()
        for link in lxml.html.document_fromstring(path.read_bytes()).xpath("//*[local-name()='a']/@href"):
            target = (path.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".html" and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert {*any_site.rglob("*.html")} - reached == {any_site / "search.html"}


def test_every_run_has_a_page_and_each_kind_of_refusal_so_many_dead_letters(
    site: pathlib.Path, runs_folder: pathlib.Path
) -> None:
    store = Store(runs_folder / "store")
    assert {path.stem for path in (site / "runs").glob("*.html")} == {run for run, _ in store.ids()}
    kinds = [
        kind["count"]
        for run in store.runs()
        for kind in ((run.end or {}).get("dead_letters") or {}).get("by_fingerprint") or ()
    ]
    letters = len(list((site / "dead-letters").glob("*.html")))
    assert letters == sum(min(count, 2) for count in kinds)
    told = [page.text_content() for path, page in pages(site) if path.name == "dead-letters.html"]
    assert told
    assert [text for text in told if "Of each kind of refusal 2 letters have a page here" not in text] == []


def test_no_page_of_a_site_says_that_it_could_not_be_made(any_site: pathlib.Path) -> None:
    titles = [page.findtext(".//title") for _, page in pages(any_site)]
    assert [title for title in titles if title.startswith(("Not there", "This could not"))] == []


def test_lines_of_sources_are_shown_only_below_what_was_named(
    runs_folder: pathlib.Path, site: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def shown(folder: pathlib.Path) -> str:
        records = [page.text_content() for path, page in pages(folder) if "records" in path.parts]
        assert records
        return "".join(records)

    write_site(Store(runs_folder / "store"), str(tmp_path / "site"), "orders", 1, sources=[str(runs_folder)])
    line = "3,customer-3,n/a"
    assert line in shown(tmp_path / "site")
    assert line not in shown(site)
    assert "not shown: not under --sources" in shown(site)


def test_names_of_files_are_short_and_differ_in_more_than_case(any_site: pathlib.Path) -> None:
    names = [path.relative_to(any_site).as_posix() for path in any_site.rglob("*") if path.is_file()]
    assert len({name.lower() for name in names}) == len(names)
    assert max(len(part) for name in names for part in name.split("/")) <= 72
    assert all(name.isascii() for name in names)


def test_a_page_runs_nothing_of_a_store_and_says_so_to_browsers(any_site: pathlib.Path) -> None:
    for path, page in pages(any_site):
        assert "\x1b" not in path.read_text()
        scripts = page.xpath("//script")
        assert all(script.get("src") and not script.text for script in scripts), path
        (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_a_page_says_when_it_was_written_and_how_much_of_the_store_it_is(
    site: pathlib.Path, runs_folder: pathlib.Path
) -> None:
    (foot,) = lxml.html.document_fromstring((site / "index.html").read_bytes()).xpath("//footer")
    assert "the newest 30 runs of each pipeline" in foot.text_content()
    assert "2 dead letters" in foot.text_content()
    assert str(runs_folder) not in foot.text_content()


def test_the_index_has_pipelines_runs_and_files_each_with_its_page(site: pathlib.Path) -> None:
    index = json.loads((site / "search.json").read_text())
    assert index["columns"] == ["kind", "text", "detail", "page"]
    kinds = {row[0] for row in index["rows"]}
    assert kinds == {"pipeline", "run", "kind of refusal", "input", "output"}
    assert all((site / row[3]).is_file() for row in index["rows"])
    assert any(row[1].endswith("orders.csv") for row in index["rows"])


def test_a_site_of_one_pipeline_says_nothing_of_the_others(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    write_site(Store(runs_folder / "store"), str(tmp_path / "site"), "broken-orders", 1)
    written = [path for path in (tmp_path / "site").rglob("*") if path.suffix in (".html", ".json")]
    newest = Store(runs_folder / "store").find("orders@latest").id
    assert [path for path in written if newest in path.read_text() + path.name] == []
    assert "broken-orders" in (tmp_path / "site/index.html").read_text()


def test_older_runs_than_were_asked_for_have_no_page(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    store = Store(runs_folder / "store")
    write_site(store, str(tmp_path / "site"), "orders", 2)
    newest = [run for run, _ in store.ids("orders")]
    assert sorted(path.stem for path in (tmp_path / "site/runs").glob("*.html")) == sorted(newest[:2])


def test_a_site_is_replaced_and_what_is_not_of_it_stays(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    store, site = Store(runs_folder / "store"), tmp_path / "site"
    write_site(store, str(site), "orders")
    (site / "CNAME").write_text("runs.example.org")
    write_site(store, str(site), "orders", 1)
    assert len(list((site / "runs").glob("*.html"))) == 1
    assert (site / "CNAME").exists()


@pytest.mark.parametrize("name", ["notes.txt", MARKER])
def test_a_folder_with_other_files_is_left_alone(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(NotASite, match="nothing was written"):
        write_site(Store(runs_folder / "store"), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.browser
def test_every_kind_of_page_opens_from_a_disk_without_a_fault(
    site: pathlib.Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(site.joinpath("index.html").as_uri())
    shown = set()
    for path in sorted(site.rglob("*.html")):
        kind = tuple(part for part in path.relative_to(site).parts[:-1] if "-7" not in part)
        if kind not in shown:
            shown.add(kind)
            page.goto(path.as_uri())
            assert page.evaluate("getComputedStyle(document.querySelector('.top')).display") == "flex"
    assert len(shown) >= 6


@pytest.mark.browser
def test_pages_open_from_a_disk_and_are_searched_there(
    site: pathlib.Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(site.joinpath("index.html").as_uri())
    assert page.evaluate("getComputedStyle(document.querySelector('.top')).display") == "flex"
    page.keyboard.press("/")
    page.keyboard.type("orders.csv")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=orders.csv")
    page.get_by_role("link", name="orders.csv").first.click()
    assert page.locator("h1").inner_text() == "orders"


@pytest.mark.browser
def test_pages_lie_on_a_plain_web_server_as_well(site: pathlib.Path, open_page: Callable[..., Any]) -> None:
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = open_page(f"http://127.0.0.1:{server.server_port}/index.html")
        page.get_by_role("link", name="orders", exact=True).first.click()
        page.locator("table a[href*='runs/']").first.click()
        page.locator(".graph-frame a").first.click()
        page.locator("#step-title").wait_for()
        assert "/step/" in page.url
        server.shutdown()
