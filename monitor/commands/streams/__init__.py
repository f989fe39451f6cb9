"""Verbs about streams: publish sources (attach, replay), create and check topics, inspect dead letters.

Each reads options and the configuration and calls `gradwatch.streams`; no logic of streams lives here.
"""
