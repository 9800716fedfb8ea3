"""What a user can mend about a job on this machine."""


class LocalError(Exception):
    """Ends the work with this message; what is done stays."""
