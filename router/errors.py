"""The router's errors."""


class RouterError(Exception):
    """Root of every error this package raises on purpose; its text says what failed and what to do."""
