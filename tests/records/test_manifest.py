"""Manifests travel as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.manifest import Manifest

DETAILS = st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=3)


@given(st.builds(Manifest, st.text(), st.text(), st.text(), st.integers(), st.text(), DETAILS))
def test_a_manifest_is_read_back_from_its_text(manifest: Manifest) -> None:
    text = manifest.to_json()
    assert "\n" not in text
    assert Manifest.from_json(text) == manifest


def test_equal_manifests_have_equal_texts() -> None:
    first = Manifest("dead_letters", "s", "f", 1, "", {"a": 1, "b": 2})
    second = Manifest("dead_letters", "s", "f", 1, "", {"b": 2, "a": 1})
    assert first.to_json() == second.to_json()
