"""For tests of pipelines that use beam_obs, with pytest or unittest, on Beam's TestPipeline or any other."""

from beam_obs.testing.expected_dead_letters import assert_dead_letters
from beam_obs.testing.matchers import Matcher, contains, dead_letter, like, meets
from beam_obs.testing.metrics import assert_balanced, assert_metrics
from beam_obs.testing.retrying_runner import RetryingRunner

__all__ = [
    "Matcher",
    "RetryingRunner",
    "assert_balanced",
    "assert_dead_letters",
    "assert_metrics",
    "contains",
    "dead_letter",
    "like",
    "meets",
]
