"""A synthetic road with exact ground truth, drawn from a seed: signs, pedestrians, vehicles, roadside, light.

Imports nothing of gradwatch. Every frame is a pure function of the drive's arguments and its number.
"""
