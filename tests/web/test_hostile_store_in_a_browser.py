"""A store that means harm, in a real browser: nothing of it runs, and no name makes a page wider."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import serving
from tests.web.hostile_stores import ATTACKS, HostileText, hostile_store
from tests.web.test_hostile_store import crawled, is_html

pytestmark = pytest.mark.browser


def test_nothing_runs_and_no_page_is_wider_than_a_telephone(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path, open_page: Callable[..., Any]
) -> None:
    attack = ATTACKS["markup"] + "x" * 200
    text = HostileText(attack)
    hostile_store(runs_folder / "store", tmp_path / "store", lambda _, value: text.of(value), attack)
    with serving(tmp_path) as served:
        paths = [path for path, answer in crawled(served, []) if is_html(answer) and answer.status == 200]
        page = open_page(served.address, width=360)
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for path in paths:
            page.goto(f"{served.address}{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert len(paths) > 25
