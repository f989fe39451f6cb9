"""Evaluation of the monitor, one file per question, and the parts that all reports are built from.

May import everything below it in `monitor`, `streams` and `models`. Ground truth is joined with reports here and on the
review page (`review/feed/ground_truth.py`) alone; nothing here runs in a worker.
"""
