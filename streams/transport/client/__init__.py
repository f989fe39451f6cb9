"""What gradwatch adds to kafka-python: checked settings, and clients that survive damaged batches and refused records.

May import: kafka. Must never know: topics, and what their records mean.
"""
