"""What counts as a difference between Beam's own tests bare and woven."""

from __future__ import annotations

import pytest

from tests.conformance.run import Outcome, side_by_side


def _outcome(tests: dict[str, str], errors: dict[str, list[str]]) -> Outcome:
    return Outcome([*tests], tests, {}, {}, errors, 1, 0, 1.0)


@pytest.mark.parametrize("bare", ["passed", "failed", "skipped"])
def test_an_error_of_the_weave_is_a_difference_however_a_test_ended(bare: str) -> None:
    errors = {"a": ["the weave failed: ValueError: not foreseen"]}

    found = side_by_side("module", _outcome({"a": bare}, {}), _outcome({"a": bare}, errors))

    assert found.differ == ["a"]


@pytest.mark.parametrize(("bare", "woven", "differ"), [("passed", "failed", ["a"]), ("failed", "passed", [])])
def test_what_fails_bare_may_end_otherwise(bare: str, woven: str, differ: list[str]) -> None:
    assert side_by_side("module", _outcome({"a": bare}, {}), _outcome({"a": woven}, {})).differ == differ
