"""Judges observations, raises alerts, and shows them to people.

Imports run one way through its folders: commands -> demo, doctor, bench, evaluate, review, evidence, worker -> overlay,
judging -> alarms -> scorers. May import `streams` and `models`; must never import torch, onnxruntime or kafka.
"""
