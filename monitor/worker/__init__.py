"""The running worker: takes frames from Kafka, runs the networks and the judge on them, publishes what they find.

`build.py` puts it together, `pipeline.py` has the steps of one frame, `threads.py` the threads that run them. What
outlives the process (ownership of partitions, stored states, committed offsets) is in `ownership.py`, `checkpoints.py`
and `stored_state.py`. May import everything below it; knows no ground truth, and nothing of what reads its output.
"""
