"""Judges the judge: one file a question."""
