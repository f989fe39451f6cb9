"""From scores to alerts: p-values, change statistics, calibrated thresholds, episodes.

Pure functions of their arguments. They may import the scorers, the types of observations and of messages; they know
neither tracks nor streams in progress, and never a clock, a file, a topic or the truth about a recording.
"""
