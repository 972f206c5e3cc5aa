"""The picture of a report is SVG, for others to see."""

from __future__ import annotations

import os

from beam_obs.reports.report_picture import report_svg
from beam_obs.store.store import Store
from tests.reports.recorded_run import run


def test_a_picture_shows_what_lies_below_the_working_folder_from_there() -> None:
    here = os.getcwd()
    outputs = [{"name": "write", "label": "write", "uri": f"{here}/out/rows", "records": 3}]
    picture = report_svg(run(outputs=outputs), Store("kept"))
    assert "out/rows" in picture
    assert "kept" in picture
    assert here not in picture


def test_the_picture_is_svg() -> None:
    picture = report_svg(run(), Store("/data"))
    assert picture.startswith("<svg")
    assert "336,776" in picture
