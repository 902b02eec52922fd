"""Foreign formats, read into our nouns.

One decoder for each: takes the parts of one message, returns what it says as ``Scan``,
``Spectra`` and ``ScanEnd``, raises ``WireError`` where it lies. Knows no socket.
"""
