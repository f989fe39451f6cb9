"""Overlays of frame reports, as vectors and as drawings.

Made from a report alone: the folder may import the types of messages and the alert policy; it knows no models, states
or topics.
"""
