"""`gradwatch doctor`: checks of this machine, each giving rows of what it found and the command that mends it.

May import all of `monitor` but demo and commands. Checks change nothing, and no text of theirs contains a credential.
"""
