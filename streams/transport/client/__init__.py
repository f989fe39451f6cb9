"""What gradwatch changes about kafka-python: which settings reach its clients, and records that it can't read.

May import: kafka. Must never know: topics, and what their records mean.
"""
