"""The schema of the review database, step by step; run at start."""
