"""The error that is the user's to mend."""


class InputError(ValueError):
    """Input that cannot be used: says what, why and what to do. A command makes it one line."""
