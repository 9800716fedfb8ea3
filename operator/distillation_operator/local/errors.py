"""What a user can mend about a job on this machine, and about the cache that it is run with."""


class LocalError(Exception):
    """Ends the work with this message; what is done stays."""


class PreparationError(Exception):
    """What keeps the environments from being made or used, in words for whoever runs the command."""
