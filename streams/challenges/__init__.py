"""CURE-TSD's twelve challenges in five levels, as pure functions of (picture, level, seed, seq).

Imports nothing of gradwatch: no streams, no files, no clock.
"""
