"""Verbs for the people who review alerts: keep evidence, serve the review page. They need extras."""
