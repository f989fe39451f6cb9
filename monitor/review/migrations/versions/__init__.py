"""One file for each migration; a released one is never changed."""
