"""The systems measured side by side: each module builds and asks one, as that library's own documentation shows it.

Each runs in an environment of its own (``requirements/``), as ``python -m benchmarks.peers.NAME VERB ...`` from the
project's root. What the verbs are and what they print is verbs.py's business.
"""
