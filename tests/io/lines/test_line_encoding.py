from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.io.lines.line_encoding import line_encoding
from beam_obs.records.errors import UsageError


@pytest.mark.parametrize(
    ("name", "splittable"),
    [
        ("utf-8", True),
        ("UTF8", True),
        ("utf-8-sig", True),
        ("latin-1", True),
        ("cp1252", True),
        ("shift_jis", True),
        ("gb18030", True),
        ("utf-16", False),
        ("utf-32-be", False),
        ("cp037", False),
    ],
)
def test_files_are_split_where_newlines_stand_for_themselves(name: str, splittable: bool) -> None:
    assert line_encoding(name)[0].splittable is splittable


@pytest.mark.parametrize("name", ["utf-7", "iso2022_jp", "hz", "idna", "base64", "no-such-encoding"])
def test_an_encoding_without_lines_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        line_encoding(name)


@pytest.mark.parametrize(
    ("name", "head", "codec", "mark"),
    [
        ("utf-8", codecs.BOM_UTF8, "utf-8", 3),
        ("utf-8", b"abc", "utf-8", 0),
        ("utf-16", codecs.BOM_UTF16_BE, "utf-16-be", 2),
        ("utf-16", codecs.BOM_UTF16_LE, "utf-16-le", 2),
        ("utf-16", b"a\0", "utf-16-le", 0),
        ("utf-32", codecs.BOM_UTF32_BE, "utf-32-be", 4),
    ],
)
def test_a_byte_order_mark_is_measured_and_obeyed(name: str, head: bytes, codec: str, mark: int) -> None:
    encoding, found = line_encoding(name, head)

    assert (encoding.codec, found) == (codec, mark)


@given(st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "cp037", "latin-1"]), st.data())
def test_lines_of_any_encoding_are_those_of_its_text(name: str, data: st.DataObject) -> None:
    alphabet = "a\nÿ\r" if name in ("latin-1", "cp037") else "a\n\u0a00\u000a\u0a0a\U0001f600"
    text = data.draw(st.text(alphabet, max_size=20))
    encoding = line_encoding(name)[0]
    encoded = text.encode(name)

    assert [line.decode(name) for line in encoding.split(encoded)] == text.split("\n")
    assert encoding.end_of_last_line(encoded) == len(text[: text.rfind("\n") + 1].encode(name))
    assert encoding.end_of_line(encoded) == (
        len(text[: text.find("\n") + 1].encode(name)) if "\n" in text else 0
    )
