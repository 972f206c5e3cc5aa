"""The figures of docs/performance.md, each a command that prints ratios taken within one run."""
