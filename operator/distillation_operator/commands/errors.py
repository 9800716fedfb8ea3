"""The one exception that commands raise for what a user can mend."""


class CommandError(Exception):
    """Ends the command with this message, in one line and without a traceback."""
