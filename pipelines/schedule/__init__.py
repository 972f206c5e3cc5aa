"""A conference's schedule, scraped from its pages: read, checked, written as CSV, and uploaded."""
