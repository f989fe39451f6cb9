"""The migrations of the review database, applied when it is opened.

Alembic runs these files as scripts: they import the tables by their full name, and nothing imports them.
"""
