"""Text of others, made safe for a terminal."""


def printable(text: str) -> str:
    """The text with spaces for characters that could move a terminal's cursor, change its colours or hide others."""
    return "".join(character if character.isprintable() else " " for character in text)
