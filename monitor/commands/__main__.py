"""`python -m gradwatch.monitor.commands`: the same as `gradwatch`."""

from . import main

main()
