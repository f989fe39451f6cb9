"""Benchmarks: the cost of monitoring, of the path through Kafka, of the review server; throughput; memory over time.

May import everything of `gradwatch.monitor` except `demo`, `doctor` and `commands`. Nothing imports it but the verbs
that print its figures: no code that runs in production measures itself by it.
"""
