"""Recordings as sources of frames: videos, folders of pictures, ROS 2 bags, and the CURE data sets.

One file a kind of recording; `played.py` plays them all. Imports `wire`, `challenges`, `world` and metrics. Knows
neither topics nor cameras, and keeps a recording's ground truth out of its frames.
"""
