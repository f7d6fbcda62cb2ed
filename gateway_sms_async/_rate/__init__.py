"""One rate for many processes: the store that they share, and the arithmetic of it."""
