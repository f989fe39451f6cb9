"""Gradient scores without a backward pass: closed forms of a linear head, and GradCon as forward convolutions.

`head` needs numpy alone; `reconstruction` needs torch, to train and export. Neither may know a detector or classifier,
a stream or a configuration.
"""
