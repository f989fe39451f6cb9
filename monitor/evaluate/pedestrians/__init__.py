"""Tracks, forecasts and scores of people: against the annotation of one recording, and the truth of drives."""
