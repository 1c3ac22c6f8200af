"""Write-only variables: apps get them, nobody is shown them again. Pure."""

from collections.abc import Iterable, Mapping

from controller.errors import Unprocessable

MASK = "********"  # what is shown; sent back for a write-only variable it means "as it was"


def masked(values: Mapping[str, str], secret_keys: Iterable[str]) -> dict[str, str]:
    """`values` as they may be shown."""
    hidden = set(secret_keys)
    return {key: MASK if key in hidden else value for key, value in values.items()}


def without_masks(changes: Mapping[str, str | None], secret_keys: Iterable[str]) -> dict[str, str | None]:
    """`changes` less those that only say of a write-only variable what was shown of it."""
    hidden = set(secret_keys)
    return {key: value for key, value in changes.items() if not (value == MASK and key in hidden)}


def merge_secrets(current: Iterable[str], added: Iterable[str], values: Mapping[str, str]) -> list[str]:
    """The write-only keys among `values`: once write-only, a variable stays so until it is removed.

    Raises: Unprocessable for the name of a variable that isn't there.
    """
    if unknown := sorted(set(added) - values.keys()):
        raise Unprocessable(f"{unknown[0]} does not exist under values")
    return sorted((set(current) | set(added)) & values.keys())
