"""Rows of JSON: one a line, in an array, or one after the other over several lines.

The library's JSON builder isn't used, as it fails with the whole file: at a broken line, a row that is no object, a
column whose type changes, NaN. Here these cost their row, and texts that look like dates stay texts.
"""

import codecs
import json
from collections.abc import Callable, Iterator
from typing import IO

from distillation_api import reasons
from distillation_stages.data.dataset import SourceRow
from distillation_stages.runtime.failure import RowRejected

CHUNK = 1 << 20
"""Bytes that are read at once."""

LONGEST_ROW = 256 << 20
"""Characters of a row in an array. Without a bound, a text whose end is missing would fill the memory."""

_CLOSE_TO_THE_END = 16
"""Characters: a name, an escape or an exponent that the end of what was read cuts is shorter."""


class BrokenDocument(Exception):
    """JSON that is broken where no row ends, so that what follows can't be read either."""


def line_rows(stream: IO[bytes]) -> Iterator[SourceRow]:
    """The rows of JSON lines. Blank lines are no rows."""
    for number, line in enumerate(stream):
        # A byte-order mark is what some editors put before the first line.
        text = line.removeprefix(codecs.BOM_UTF8) if number == 0 else line
        if text.strip():
            yield _parsed(text)


def document_rows(opened: Callable[[], IO[bytes]]) -> Iterator[SourceRow]:
    """The rows of a ``.json`` file: the members of its array, or else its lines, or its values over several lines.

    The file is opened twice, the first time to see which it is.
    """
    with opened() as stream:
        is_lines = _is_lines(stream)
    with opened() as stream:
        yield from line_rows(stream) if is_lines else map(_row, _Values(stream).all())


def _parsed(line: bytes) -> SourceRow:
    try:
        # With NaN, which is no JSON but what pandas writes: in a column that nobody reads it does no harm.
        return _row(json.loads(line.decode()))
    except (ValueError, RecursionError):
        return RowRejected(reasons.BROKEN_JSON)


def _row(value: object) -> SourceRow:
    return value if isinstance(value, dict) else RowRejected(reasons.NOT_AN_OBJECT)


def _is_lines(stream: IO[bytes]) -> bool:
    values = _Values(stream)
    if values.is_array():
        return False
    try:
        return not values.spans_lines() and not values.goes_on()
    except BrokenDocument:
        # Its first line is broken, or all of it is: by lines, no more than that is lost.
        return True


class _Values:
    """The values of a JSON document, one at a time: a member of its array, or a value of several in a row."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        # Bytes that are no text become lone surrogates, which reject their row.
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape").decode
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._begun = 0
        """Where the value that was read last began."""
        self._ended = False
        self._read = 0

    def is_array(self) -> bool:
        """Whether the document is one array."""
        return self._next() == "["

    def spans_lines(self) -> bool:
        """Whether the document's first value has more than one line. Raises BrokenDocument when it is broken."""
        if not self._next():
            return False
        self._value()
        return self._text.find("\n", self._begun, self._at) >= 0

    def goes_on(self) -> bool:
        """Whether another object begins in the line in which the value that was read last ends."""
        return self._next(" \t") == "{"

    def all(self) -> Iterator[object]:
        """Every value. Raises BrokenDocument at the first that is broken."""
        in_array = self.is_array()
        self._at += in_array
        while self._next() not in ("", "]" if in_array else ""):
            yield self._value()
            self._read += 1
            following = self._next()
            if in_array and following == ",":
                self._at += 1
            elif in_array and following not in ("", "]"):
                raise BrokenDocument(f"after row {self._read - 1} there is no comma and no end of the array")
        if in_array:
            if not self._next():
                raise BrokenDocument(f"the array doesn't end; it has {self._read} rows")
            self._at += 1
            if self._next():
                raise BrokenDocument(f"something follows the array of {self._read} rows")

    def _next(self, spaces: str = " \t\r\n") -> str:
        """The next character that is none of the spaces; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in spaces:
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _value(self) -> object:
        """The value that begins here."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                if not self._may_be_cut(error) or not self._more():
                    raise BrokenDocument(f"row {self._read} is no JSON: {error}") from error
                continue
            # A number may go on in what isn't read yet, such as after 1e.
            is_whole = isinstance(value, dict | list | str) or end < len(self._text) - _CLOSE_TO_THE_END
            if is_whole or self._ended:
                self._begun, self._at = self._at, end
                return value
            self._more()

    def _may_be_cut(self, error: Exception) -> bool:
        if isinstance(error, json.JSONDecodeError):
            is_open = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - _CLOSE_TO_THE_END
            return is_open and len(self._text) - self._at < LONGEST_ROW
        return False

    def _more(self) -> bool:
        """Reads on, at least as much as is left of the value that is read: so a long one isn't begun too often."""
        if self._ended:
            return False
        left = self._text[self._at :]
        chunk = self._stream.read(max(CHUNK, len(left)))
        self._ended = not chunk
        self._text, self._at = left + self._decode(chunk, self._ended), 0
        return not self._ended or len(self._text) > len(left)
