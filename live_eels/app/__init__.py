"""The running engine: threads, edges, lifetimes; the only rooms that join science and outside.

``engine`` makes everything; ``receive``, ``record`` and ``analyse`` are its threads;
``serve`` is its main thread; ``offline`` runs the same pipeline over a file.
"""
