from __future__ import annotations

import pytest

from benchmarks import formats


@pytest.mark.slow
def test_every_format_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert formats.main(["--rounds=1", "--rows=10"]) == 0
    printed = capsys.readouterr().out
    for name in ("json to dict", "avro", "parquet", "text in a Source"):
        assert name in printed
