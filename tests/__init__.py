"""The tests: folders mirror the packages; what several of them share lies here.

`places` has paths, `builders` makes frames, reports, alerts and observations, `waiting` waits for a condition,
`brokers` has topics of a test's own, `stub_worker` is a worker without networks, `conftest` has the brokers.
"""
