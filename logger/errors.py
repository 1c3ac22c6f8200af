"""What can go wrong."""


class LoggerError(Exception):
    """Root of the log store's errors; the text says what failed and what to do."""


class BadSetting(LoggerError):
    """The environment says something that can't be used."""


class Refused(LoggerError):
    """A server answered, with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"answered {status}: {text}")
        self.status = status


class BadQuery(LoggerError):
    """A reader asked for something that can't be."""
