"""What gradwatch changes about kafka-python: the settings that reach its clients, what they read, when they go on.

May import: kafka. Must never know: topics, and what their records mean.
"""
