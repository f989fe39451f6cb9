"""The review page: people see the alerts, act on them and correct the system.

`store/` keeps alerts and reviews in a database, `feed/` fills it and the live state from Kafka, `service.py` puts both
together, `api/` serves them over HTTP, `page/` is the web page. May import evidence, overlay, scorers and streams; must
not know the judge, the worker or any network. Everything but `settings.py` needs the extra `review`.
"""
