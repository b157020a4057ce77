"""Where records stand in JSON and XML, so that they are cut and changed in the file's own text.

Parsing and writing again would change numbers, key order, indentation and escapes of records that
nobody asked to change. Here, what is not edited is copied byte for byte.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from cleanplate.errors import PhotoError
from cleanplate.io import read_error

Span = tuple[int, int]
"""Start and end of a record in a text."""

_SPACE = re.compile(r"[ \t\n\r]*")
_TAG = re.compile(rb"<(?:[^\"'>]|\"[^\"]*\"|'[^']*')*>")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Member:
    """A value in a JSON object, or a record of an array in it."""

    key: str
    span: Span
    value: Any
    is_record: bool = False  # an element of the array `key`


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 file, its line ends as they are.

    Raises:
        PhotoError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise read_error(path, error) from error
    except UnicodeDecodeError as error:
        raise PhotoError(path, f"it is not UTF-8 ({error})", "save it as UTF-8") from error


def scan_json(path: Path, text: str) -> Iterator[Member]:
    """Yield the members of a JSON object; of members that are arrays, each element instead.

    Args:
        path: for the messages.
        text: an object.

    Raises:
        PhotoError: it is not a JSON object; the message has line and column.
    """
    try:
        yield from _members(text)
    except json.JSONDecodeError as error:
        cause = f"it is not valid JSON ({error.msg}, line {error.lineno}, column {error.colno})"
        raise PhotoError(path, cause, "correct it, or export it again") from error


def _members(text: str) -> Iterator[Member]:
    at = _expect(text, _skip(text, 1 if text.startswith("\ufeff") else 0), "{")
    while text[at : at + 1] != "}":
        key, at = _decode(text, at)
        at = _expect(text, at, ":")
        if text[at : at + 1] == "[":
            at = _skip(text, at + 1)
            while text[at : at + 1] != "]":
                value, end = _DECODER.raw_decode(text, at)
                yield Member(str(key), (at, end), value, is_record=True)
                at = _comma(text, _skip(text, end), "]")
            at = _skip(text, at + 1)
        else:
            value, end = _DECODER.raw_decode(text, at)
            yield Member(str(key), (at, end), value)
            at = _skip(text, end)
        at = _comma(text, at, "}")
    if _skip(text, at + 1) != len(text):
        raise json.JSONDecodeError("unexpected text after the end", text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _decode(text: str, at: int) -> tuple[Any, int]:
    value, end = _DECODER.raw_decode(text, at)
    return value, _skip(text, end)


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise json.JSONDecodeError(f"expected {character!r}", text, at)
    return _skip(text, at + 1)


def _comma(text: str, at: int, end: str) -> int:
    """Return where the next element starts, or where `end` is."""
    if text[at : at + 1] == end:
        return at
    at = _expect(text, at, ",")
    if text[at : at + 1] == end:
        raise json.JSONDecodeError("expected a value", text, at)
    return at


def change_values(record: str, values: Mapping[str, str]) -> str:
    """Return a JSON object's text with the values of some of its members replaced.

    Args:
        record: text of an object that is valid JSON.
        values: key -> text of the new value; keys that the object lacks are ignored.
    """
    spans, at = [], _skip(record, 1)
    while record[at] != "}":
        key, at = _decode(record, at)
        at = _skip(record, at + 1)
        _, end = _DECODER.raw_decode(record, at)
        if key in values:
            spans.append(((at, end), values[key]))
        at = _comma(record, _skip(record, end), "}")
    return splice(record, spans)


def splice(text: str, changes: Iterable[tuple[Span, str]]) -> str:
    """Return a text with some spans of it, in any order but apart, replaced."""
    pieces, at = [], 0
    for (start, end), new in sorted(changes):
        pieces += [text[at:start], new]
        at = end
    return "".join((*pieces, text[at:]))


def change_records(
    text: str, spans: Sequence[Span], changes: Mapping[int, str | None]
) -> list[tuple[Span, str]]:
    """Return the changes to a text that replace or remove records of one JSON array.

    Args:
        text: the complete file.
        spans: of all records of the array, in order.
        changes: index of a record -> its new text; None removes it, with its comma.
    """
    if not changes:
        return []
    pieces = []
    first = True
    for index, (start, end) in enumerate(spans):
        new = changes.get(index, text[start:end])
        if new is None:
            continue
        if not first:
            pieces.append(text[spans[index - 1][1] : start])
        pieces.append(new)
        first = False
    return [((spans[0][0], spans[-1][1]), "".join(pieces))]


def append_records(
    text: str, spans: Sequence[Span], records: Sequence[str]
) -> list[tuple[Span, str]]:
    """Return the changes to a text that append records to one JSON array that is not empty.

    Args:
        text: the complete file.
        spans: of all records of the array, in order.
        records: texts of the new ones.
    """
    if not records:
        return []
    start, end = spans[-1]
    before = start
    while text[before - 1].isspace():
        before -= 1
    separator = "," + text[before:start]
    return [((end, end), "".join(separator + record for record in records))]


def append_lines(content: bytes, lines: Sequence[bytes]) -> bytes:
    """Return a text file, its last line ended, with further lines."""
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return content + b"".join(line + b"\n" for line in lines)


@dataclass(slots=True)
class Element:
    """An XML element and where it stands, in bytes."""

    name: str
    attributes: Mapping[str, str]
    start: int
    opened: int  # end of its start tag
    end: int = 0
    closing: int = 0  # start of its end tag; of an empty element `opened`
    text: str = ""
    children: "list[Element]" = field(default_factory=list)

    def find(self, name: str) -> "Element | None":
        """Return the first child of a name."""
        return next((child for child in self.children if child.name == name), None)

    def value(self, name: str, default: str = "") -> str:
        """Return the text of the first child of a name."""
        child = self.find(name)
        return default if child is None else child.text.strip()


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        PhotoError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise read_error(path, error) from error


def parse_xml(path: Path, content: bytes) -> Element:
    """Return the root element of an XML file.

    Args:
        path: for the messages.
        content: the file.

    Raises:
        PhotoError: it is not valid XML; the message has line and column.
    """
    parser = expat.ParserCreate()
    stack: list[Element] = []
    roots: list[Element] = []

    def on_start(name: str, attributes: dict[str, str]) -> None:
        start = parser.CurrentByteIndex
        tag = _TAG.match(content, start)
        element = Element(name, attributes, start, tag.end() if tag else start)
        (stack[-1].children if stack else roots).append(element)
        stack.append(element)

    def on_end(_: str) -> None:
        element, at = stack.pop(), parser.CurrentByteIndex
        tag = _TAG.match(content, at)
        is_empty = at == element.start
        element.closing = element.opened if is_empty else at
        element.end = element.opened if is_empty or tag is None else tag.end()

    def on_text(text: str) -> None:
        if stack:
            stack[-1].text += text

    def on_entity(*_: object) -> None:
        cause = "it declares entities, which can grow without end"
        raise PhotoError(path, cause, "remove the declaration")

    parser.EntityDeclHandler = on_entity
    parser.StartElementHandler, parser.EndElementHandler = on_start, on_end
    parser.CharacterDataHandler = on_text
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        cause = f"it is not valid XML ({error})"
        raise PhotoError(path, cause, "correct it, or export it again") from error
    return roots[0]


def splice_bytes(content: bytes, changes: Iterable[tuple[Span, bytes]]) -> bytes:
    """Return `content` with some spans of it, in any order but apart, replaced."""
    pieces, at = [], 0
    for (start, end), new in sorted(changes):
        pieces += [content[at:start], new]
        at = end
    return b"".join((*pieces, content[at:]))


def remove_element(content: bytes, element: Element) -> tuple[Span, bytes]:
    """Return the change that removes an element, and the space before it."""
    start = element.start
    while content[start - 1 : start].isspace():
        start -= 1
    return (start, element.end), b""


def change_text(element: Element, text: str) -> tuple[Span, bytes]:
    """Return the change that gives an element without children another text."""
    return (element.opened, element.closing), text.encode("ascii")


def change_attributes(
    content: bytes, element: Element, values: Mapping[str, str]
) -> tuple[Span, bytes]:
    """Return the change that gives attributes of an element other values.

    Args:
        content: the file.
        element: of it.
        values: name -> ASCII text without quotes; names that the element lacks are ignored.
    """
    tag = content[element.start : element.opened]
    for name, value in values.items():
        pattern = rb"(\s%s\s*=\s*)(\"[^\"]*\"|'[^']*')" % re.escape(name.encode("ascii"))
        tag = re.sub(pattern, rb'\g<1>"%s"' % value.encode("ascii"), tag, count=1)
    return (element.start, element.opened), tag
