"""What can go wrong with the registry; every text is a sentence."""


class RegistryError(Exception):
    """The root of this package's errors."""


class SettingsError(RegistryError):
    """A variable is missing or doesn't read as what it should be."""
