"""Services that follow the alerts: each a consumer group of its own, none in the way of a frame."""
