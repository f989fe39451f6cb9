"""Verbs that try gradwatch out on this machine: bench, demo, doctor and evaluate."""
