"""Columns with images, videos or sounds beside a row's text, which makes no sense to a student without them."""

import re
from collections.abc import Collection, Iterator, Mapping

from distillation_api import reasons
from distillation_stages.data.conversations import Conversation, as_turn
from distillation_stages.data.filled import is_filled
from distillation_stages.runtime.failure import RowRejected

COLUMNS = frozenset({"image", "images", "video", "videos", "audio", "audios"})
"""In lower case: what they hold is taken for media, whatever the texts say."""

_SOME_MEDIUM = re.compile(r"(image|img|picture|photo|video|audio)", re.IGNORECASE)
"""How the names of more such columns begin, which many datasets of text have too."""

_PLACE = re.compile(r"<(image|video|audio)[ _]?\d*>", re.IGNORECASE)
"""What stands in a text where a medium belongs."""


def is_media(column: str) -> bool:
    """Whether what the column holds is media by its name alone."""
    return column.casefold() in COLUMNS


def may_be_media(column: str) -> bool:
    """Whether the column may hold media, or where they lie: that the texts ask for them decides it."""
    return _SOME_MEDIUM.match(column) is not None


def check_media(row: Mapping[str, object], read: Collection[str], conversation: Conversation) -> None:
    """Raises RowRejected for a row with media. Columns that are ``read`` are text to whoever has named them."""
    for name, value in row.items():
        if name in read or not may_be_media(name) or not is_filled(value):
            continue
        if is_media(name) or any(map(_PLACE.search, _texts(conversation))):
            raise RowRejected(reasons.MEDIA_COLUMN, f"column {name!r}")


def _texts(conversation: Conversation) -> Iterator[str]:
    yield from (turn["content"] for turn in conversation.prompt)
    if conversation.reference is not None:
        yield as_turn(conversation.reference)["content"]
