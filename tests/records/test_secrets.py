"""Secrets do not reach the store, by the name of the option or by the look of its value."""

from __future__ import annotations

import pytest
from detect_secrets.core.scan import scan_line
from detect_secrets.settings import transient_settings

from beam_obs.records.secrets import HIDDEN, redact, redact_text


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
        ("Authorization: Basic aHVudGVyMjpodW50ZXIy", "aHVudGVy"),
        ("Cookie: session=hunter2; other=hunter3", "hunter3"),
        ('{"password": "hunter2"}', "hunter2"),
        ("{'user': 'me', 'passwd' : 'hunter 2'}", "hunter 2"),
        ('password="hunter 2"', "hunter 2"),
        ("--password hunter2", "hunter2"),
        ("-db-password hunter2", "hunter2"),
        ("dbpass=hunter2", "hunter2"),
        ("PGPASSWORD=hunter2", "hunter2"),
        ("postgres://me:hun@ter2@host/db", "ter2"),
        ("postgres://me:hun/ter2@host/db", "ter2"),
        ("npm_abcdefghijklmnopqrstuvwxyz0123456789", "npm_abc"),
        ("GOCSPX-abcdefghijklmnopqrstuvwxyz01", "GOCSPX"),
    ],
)
def test_a_secret_is_known_by_its_look(value: str, secret: str) -> None:
    found = redact({"extra": ["x", value], "nested": {"deep": value}})
    assert secret not in str(found)
    assert HIDDEN in redact_text(value)


def test_an_option_that_holds_a_secret_is_hidden_as_a_whole() -> None:
    assert redact({"jdbc": "postgres://me:hunter2@host/db?user=me"}) == {"jdbc": HIDDEN}
    assert redact({"arguments": ["--password", "hunter2"]}) == {"arguments": HIDDEN}


def test_an_option_that_is_named_as_a_redacted_field_is_hidden() -> None:
    options = {"email": "ada@example.org", "mail_server": "mx.example.org"}
    assert redact(options, fields={"email"}) == {"email": HIDDEN, "mail_server": "mx.example.org"}


def test_a_text_keeps_what_stands_beside_its_secrets() -> None:
    text = "cannot connect to postgres://me:hunter2@host/db with --token abc: refused"
    assert redact_text(text) == f"cannot connect to postgres://{HIDDEN}@host/db with --token {HIDDEN} refused"


ASSIGNMENTS = [
    template.format(name=name, value="wJalrXUtnFEMIK7MDENG")
    for name in "password db_pass api_key apikey secret client_secret private_key".split()
    for template in ('{name} = "{value}"', "{name}: '{value}'", '{{"{name}": "{value}"}}')
]
SHAPES = [
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "xoxb-2345678901-2345678901-abcdefghijABCDEFGHIJ",
    "sk_live_0123456789abcdefghijABCD",
    "SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    "https://me:hunter2hunter2@example.org/",
    "-----BEGIN PRIVATE KEY-----",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "glpat-abcdefghij0123456789",
]


@pytest.mark.parametrize("text", ASSIGNMENTS + SHAPES)
def test_what_a_detector_of_secrets_finds_is_hidden(text: str) -> None:
    plugins = [
        {"name": name}
        for name in (
            "AWSKeyDetector BasicAuthDetector GitHubTokenDetector GitLabTokenDetector JwtTokenDetector "
            "KeywordDetector PrivateKeyDetector SendGridDetector SlackDetector StripeDetector"
        ).split()
    ]
    with transient_settings({"plugins_used": plugins}):
        found = [secret.secret_value for secret in scan_line(text)]
    assert found, "the detector finds nothing: this text tests nothing"
    for secret in filter(None, found):
        assert secret not in redact_text(text)
    assert redact({"option": text}) == {"option": HIDDEN}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
        "a.",
        "YWJjZA",
        "eyJ-",
        "-eyJa.",
        "://a:",
        "password=",
        '"token": "',
        "-----BEGIN PRIVATE ",
        "- ",
        "Bearer ",
    ],
)
@pytest.mark.slow
def test_a_value_of_a_megabyte_is_looked_through(piece: str) -> None:
    redact({"option": piece * (2**20 // len(piece))})


@pytest.mark.parametrize(
    "options",
    [
        {"partition_key": "day", "sort_key": "name", "key_field": "id", "primary_keys": "id"},
        {"input": "gs://bucket/key=5/passengers/part-*.csv", "tokenizer": "bpe", "bypass": "no"},
        {"query": "SELECT key, value FROM `project.dataset.table` WHERE key = 5"},
        {"output": "https://example.org/a@b", "mail": "ada@example.org", "hosts": ["a:9092", "b:9092"]},
    ],
)
def test_what_only_looks_like_a_secret_is_kept(options: dict[str, object]) -> None:
    assert redact(options) == options


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
