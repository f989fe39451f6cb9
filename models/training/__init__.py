"""Commands that made the shipped weights and their training pictures: `python -m gradwatch.models.training.NAME`.

Not in the wheel. May import `gradwatch.streams` to draw synthetic drives; only its own tests may import it.
"""
