"""Judges observations: follows objects, scores them and the frame, forecasts motion, and builds reports and alerts.

Pure functions of observation and state, numpy and cv2 alone. They may import the alarms, the scorers, closed forms and
boxes of `models`, the types of observations and of messages; they know no network, clock, file or topic, and nothing of
the truth about a recording.
"""
