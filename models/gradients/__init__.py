"""Gradient scores: closed forms of the head's gradient, and GradCon as forward convolutions."""
