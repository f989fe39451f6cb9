"""Judges observations: scores, calibrated p-values, tracks, forecasts, episodes and alerts."""
