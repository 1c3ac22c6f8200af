"""What can stop a push. Every text is one sentence that a person at the other end of `git push` reads."""

from __future__ import annotations


class BuilderError(Exception):
    """The root of this package's errors; its text is shown to the pusher as it is."""


class PushRefused(BuilderError):
    """The push itself breaks a rule: wrong branch, hostile name, no right to the app."""


class NothingToBuild(BuilderError):
    """The source is accepted as it is: nothing that the app is built from changed."""


class BuildFailed(BuilderError):
    """The source doesn't turn into an image."""


class DeployFailed(BuilderError):
    """The image was made, and the controller could not make it run."""


class EngineError(BuilderError):
    """The Docker Engine refused a call or went away."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ClusterError(BuilderError):
    """The Kubernetes API refused a call or went away."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class RegistryError(BuilderError):
    """The image registry refused a call or went away."""


class ControllerError(BuilderError):
    """The controller refused a call or went away."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
