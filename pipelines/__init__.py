"""Real pipelines that use beam_obs, with their data."""
