"""Secrets do not reach the store, by the name of the option or by the look of its value."""

from __future__ import annotations

import pytest

from beam_obs.runs.redaction import HIDDEN, redact, redact_text


@pytest.mark.parametrize(
    "name",
    "password db_passwd api_key apikey access_token secret_name client_secret private_key credentials auth "
    "dsn connection_string AWS_SECRET_ACCESS_KEY sas bearer".split(),
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert redact({name: "v4lue"}) == {name: HIDDEN}


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("postgres://me:hunter2@host/db", "hunter2"),
        ("https://host/x?token=hunter2&a=1", "hunter2"),
        ("Server=h;Password=hunter2;Port=1", "hunter2"),
        ("--api_key=hunter2", "hunter2"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "eyJzdWIi"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSF"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "0123456789abc"),
        ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
    ],
)
def test_a_secret_is_known_by_its_look(value: str, secret: str) -> None:
    found = redact({"extra": ["x", value], "nested": {"deep": value}})
    assert secret not in str(found)
    assert HIDDEN in redact_text(value)


def test_everything_else_is_kept() -> None:
    options = {
        "input": "gs://bucket/flights-*.csv",
        "runner": "FnApiRunner",
        "streaming": True,
        "num_workers": 3,
        "obs_sample_rate": 128,
        "keyspace": "k",
        "tokenizer": "bpe",
        "author": "me",
        "save_main_session": False,
        "temp": None,
    }
    assert redact(options) == options
