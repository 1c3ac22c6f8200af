"""What can stop a set-up, in words for the person at the terminal."""


class HostError(Exception):
    """A set-up step failed; the text says what, why and what to do next."""
