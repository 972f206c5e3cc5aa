"""Files of a stream on Prism: the same as on the direct runner."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from tests.engines.prism import prism_options
from tests.io.writes.test_stream_files import WRITES, check_writes

pytestmark = pytest.mark.engines


def test_on_prism_each_record_is_in_one_file_of_each_of_its_windows_in_whatever_pane_it_comes() -> None:
    options = ["--streaming", "--obs_report=off", *prism_options()]
    check_writes("PrismRunner", PipelineOptions(options), WRITES)
