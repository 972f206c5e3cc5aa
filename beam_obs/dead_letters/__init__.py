"""Homes of dead letters, their format, and the files of evidence that a run keeps."""
