"""What a server of pages answers, and to whom."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from tests.web.conftest import Served, serving


def test_a_page_is_answered_with_headers_that_let_nothing_else_run(served: Served) -> None:
    answer = served.get("/")
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_name_of_the_host_that_is_not_ours_is_refused(served: Served) -> None:
    assert served.get("/", host=f"rebound.example:{served.port}").status == 421
    assert served.get("/", host=f"localhost:{served.port}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(served: Served, method: str) -> None:
    assert served.get("/", method).status == 405


def test_where_there_is_a_token_it_is_needed_and_never_taken_from_the_address(
    runs_folder: pathlib.Path,
) -> None:
    with serving(runs_folder, token="s3cret") as served:
        assert served.get("/").status == 401
        assert served.get("/?token=s3cret").status == 401
        assert served.get("/static/beam_obs.css").status == 401
        assert served.get("/", authorization="Bearer wrong").status == 401
        assert served.get("/", authorization="Bearer s3cret").status == 200
        assert served.get("/", cookie="beam_obs_token=s3cret").status == 200


def test_pages_below_a_path_lead_to_each_other(runs_folder: pathlib.Path) -> None:
    with serving(runs_folder, base="/obs") as served:
        answer = served.get("/obs/")
        assert answer.status == 200
        assert 'href="/obs/static/beam_obs.css"' in answer.text
        assert served.get("/obs/static/beam_obs.css").status == 200
        assert served.get("/").status == 404


def test_what_is_not_there_is_said_on_a_page(served: Served) -> None:
    answer = served.get("/runs/nosuchrun")
    assert answer.status == 404
    assert "no run &#39;nosuchrun&#39;" in answer.text


def test_a_browser_gives_the_token_in_a_form_and_bears_it_from_then_on(runs_folder: pathlib.Path) -> None:
    with serving(runs_folder, token="s3cret; ü", base="/obs") as served:
        asked = served.get("/obs/", accept="text/html,*/*")
        assert asked.status == 401
        assert 'action="/obs/token" method="post"' in asked.text
        assert served.post("/obs/token", "token=wrong").status == 401
        assert served.post("/obs/token", "token=" + "x" * 100_000).status == 401
        assert served.post("/obs/", "token=s3cret%3B+%C3%BC").status == 405
        taken = served.post("/obs/token", "token=s3cret%3B+%C3%BC")
        assert (taken.status, taken.headers["location"]) == (303, "/obs/")
        cookie, *marks = taken.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=strict"} <= set(marks)
        assert served.get("/obs/", cookie=cookie).status == 200
        assert served.post("/obs/token", "token=s3cret%3B+%C3%BC", host="evil.example").status == 421


def test_where_no_token_is_needed_none_is_taken(served: Served) -> None:
    assert served.post("/token", "token=").status == 405


def test_the_path_that_pages_are_below_is_led_to_whatever_stands_before(runs_folder: pathlib.Path) -> None:
    with serving(runs_folder, base="/obs") as served:
        answer = served.get("/obs")
        assert (answer.status, answer.headers["location"]) == (307, "/obs/")
        assert served.get("/obs/runs/").status == 404


@pytest.mark.parametrize(
    "path",
    ["/static/../application.py", "/static/%2e%2e/application.py", "/static/..%2fapplication.py", "/static/"],
)
def test_nothing_but_files_of_style_and_script_is_given(served: Served, path: str) -> None:
    answer = served.get(path)
    assert answer.status == 404
    assert "There is no such page." in answer.text


def test_a_store_that_was_removed_since_is_said_on_a_page(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(runs_folder / "store", tmp_path / "store")
    with serving(tmp_path) as served:
        run = served.store.find("orders@latest").id
        shutil.rmtree(tmp_path / "store")
        for path in ("/", "/pipelines/orders", f"/runs/{run}", "/search?q=orders"):
            answer = served.get(path)
            assert answer.status == 500, path
            assert "no store at" in answer.text
            assert "content-security-policy" in answer.headers
