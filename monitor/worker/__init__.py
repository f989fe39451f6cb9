"""The running worker: takes frames from Kafka, runs the networks and the judge on them, publishes what they find.

`build.py` puts it together, `startup.py` checks the broker, `pipeline.py` has the steps of one frame, `threads.py` the
threads that run them, `admission.py` the choice of the next frame. `ownership.py`, `checkpoints.py` and
`stored_state.py` hand streams from one worker to the next; `verdict_feed.py` brings reviewers' corrections. May import
everything below it; must not know ground truth, evidence files or the review page.
"""
