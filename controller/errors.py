"""What can go wrong, as the API says it. One handler (`api/edge.py`) turns these into answers."""


def cause_of(exc: BaseException) -> str:
    """What went wrong in the system's own words (`connection refused`), whatever wrapped it on the way up."""
    inner: BaseException | None = exc
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return str(inner.strerror)[:1].lower() + str(inner.strerror)[1:]
        inner = inner.__cause__ or (None if inner.__suppress_context__ else inner.__context__)
    return str(exc) or ("timed out" if isinstance(exc, TimeoutError) else type(exc).__name__)


class PaasError(Exception):
    """Root of the controller's errors; `status` is the HTTP status, `body()` what the client reads."""

    status = 400

    def body(self):
        return {"detail": str(self)}


class BadRequest(PaasError):
    status = 400


class Invalid(PaasError):
    """A field that doesn't hold; `errors` maps its name to sentences."""

    status = 400

    def __init__(self, /, **errors: str | list[str]):
        self.errors = {name: [text] if isinstance(text, str) else text for name, text in errors.items()}
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in self.errors.items()))

    def body(self):
        return self.errors


class Unauthorized(PaasError):
    status = 401


class Forbidden(PaasError):
    status = 403

    def __init__(self, text: str = "You do not have permission to perform this action."):
        super().__init__(text)


class Missing(PaasError):
    """An object that isn't there; Deis answers with a bare JSON string."""

    status = 404

    def __init__(self, kind: str):
        super().__init__(f"No {kind} matches the given query.")

    def body(self):
        return str(self)


class NotFound(PaasError):
    status = 404


class Conflict(PaasError):
    status = 409

    def __init__(self, text: str, **more):
        super().__init__(text)
        self.more = more

    def body(self):
        return {"detail": str(self), **self.more}


class Unprocessable(PaasError):
    status = 422


class TooManyTries(PaasError):
    status = 429


class Throttled(TooManyTries):
    """`retry_after` is in seconds."""

    def __init__(self, text: str, retry_after: int):
        minutes = -(-retry_after // 60)
        wait = f"{retry_after} seconds" if retry_after < 60 else f"{minutes} minute{'s' if minutes > 1 else ''}"
        super().__init__(f"{text}; wait {wait} and try again.")
        self.retry_after = retry_after


class DiskFull(PaasError):
    """No build may begin: what runs needs the rest of the disk."""

    status = 507

    def __init__(self, room: object):
        super().__init__(
            f"The platform's disk is nearly full ({room}), so nothing is built. Tell an administrator: "
            "`paas gc` removes images nobody keeps, `paas doctor` says more."
        )


class Unsupported(PaasError):
    """What this server, as it is run, can't do."""

    status = 501


class ClusterTrouble(PaasError):
    """The orchestrator refused, failed or can't be reached."""

    status = 503
