"""`gradwatch doctor`: what this machine has, what is missing or wrong, and the command that mends it."""
