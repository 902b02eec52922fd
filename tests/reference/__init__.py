"""Plain-numpy twins of every kernel: slow, obvious, written first."""
