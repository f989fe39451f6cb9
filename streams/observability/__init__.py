"""Metrics, logs without credentials, health checks, and the HTTP port that serves them.

Imports wire/ alone; nothing here depends on what it observes.
"""
