"""Verbs that try gradwatch out: run the demo, check the machine, measure and evaluate."""
