"""The messages on the wire and their bytes: frames, reports, alerts, verdicts, health, pictures, topic names.

Pure functions and frozen structs; imports nothing of gradwatch but the errors' base class. No I/O, no Kafka client,
no clock; contains no ground truth.
"""
