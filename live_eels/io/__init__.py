"""Whatever may block, wait or fail for reasons outside: sockets, files, pages."""
