"""The HTTP API under /api/v1 and the page's files: one router a file, behind authentication and the guard.

Imports the service and everything below it. Holds no state of its own; nothing outside this folder may import it but
the commands and the benchmark that serve it.
"""
