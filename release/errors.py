"""Why no release can be made."""


class ReleaseError(Exception):
    """A refusal, with what to do about it; its text is shown as it is."""
