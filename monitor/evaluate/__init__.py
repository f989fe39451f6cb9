"""Evaluation of the monitor, one file per question, and the parts that all reports are built from.

May import everything of `gradwatch.monitor` below it (judging, overlay, worker), `streams` and `models`. Ground truth
is joined with reports here and nowhere below; nothing here runs in a worker.
"""
