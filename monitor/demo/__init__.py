"""`gradwatch demo`: renders two streams, runs broker, worker and sources as processes, and shows their alerts live.

May import all of `monitor` but doctor and commands. Reads the outputs from their topics as any other consumer would.
"""
