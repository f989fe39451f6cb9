"""Alerts, seen and answered by people: the database of reviews, the API, and the page on it."""
