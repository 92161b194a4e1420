"""A JSON object of an answer, read field by field: what is missing or of another type is named by its path.

Fields that this version does not know are left alone, so that a newer server can say more.
"""

from __future__ import annotations

import json
from typing import cast

from realm.errors import ProtocolError


class Document:
    """A JSON object at a path of an answer."""

    __slots__ = ("_fields", "_path", "request_id")

    def __init__(self, value: object, path: str, request_id: str | None) -> None:
        self.request_id = request_id
        self._path = path
        if not isinstance(value, dict):
            raise self._wrong(path, "an object", value)
        self._fields = cast("dict[str, object]", value)

    @classmethod
    def read(cls, body: bytes | str, request_id: str | None) -> Document:
        """From JSON text."""
        try:
            value = cast("object", json.loads(body))
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"the answer is not JSON: {error}", request_id=request_id) from error
        return cls(value, "", request_id)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._fields.get(name) is not None

    def value(self, name: str) -> object:
        """The field, whatever it is; None when it is absent."""
        return self._fields.get(name)

    def text(self, name: str) -> str:
        """A string that must be there."""
        value = self._fields.get(name)
        if isinstance(value, str):
            return value
        raise self._wrong(self.path(name), "a string", value)

    def text_or(self, name: str, default: str) -> str:
        """A string, or the default when it is absent."""
        return self.text(name) if self.has(name) else default

    def maybe_text(self, name: str) -> str | None:
        """A string, or None."""
        return self.text(name) if self.has(name) else None

    def integer(self, name: str) -> int:
        """A whole number that must be there."""
        return self.as_integer(self.path(name), self._fields.get(name))

    def integer_or(self, name: str, default: int) -> int:
        """A whole number, or the default when it is absent."""
        return self.integer(name) if self.has(name) else default

    def number(self, name: str) -> float:
        """A number that must be there."""
        return self.as_number(self.path(name), self._fields.get(name))

    def values(self, name: str) -> list[object]:
        """A list that must be there."""
        value = self._fields.get(name)
        if isinstance(value, list):
            return cast("list[object]", value)
        raise self._wrong(self.path(name), "a list", value)

    def child(self, name: str) -> Document:
        """An object that must be there."""
        return Document(self._fields.get(name), self.path(name), self.request_id)

    def children(self, name: str) -> list[Document]:
        """A list of objects that must be there."""
        path = self.path(name)
        entries = enumerate(self.values(name))
        return [Document(value, f"{path}[{index}]", self.request_id) for index, value in entries]

    def numbers(self) -> dict[str, float]:
        """All fields, which must be numbers."""
        return {name: self.number(name) for name in self._fields}

    def as_number(self, path: str, value: object) -> float:
        """A number found at a path."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        raise self._wrong(path, "a number", value)

    def as_integer(self, path: str, value: object) -> int:
        """A whole number found at a path."""
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self._wrong(path, "a whole number", value)

    def path(self, name: str) -> str:
        """Path of a field."""
        return f"{self._path}.{name}" if self._path else name

    def _wrong(self, path: str, expected: str, value: object) -> ProtocolError:
        found = "missing" if value is None else f"a {type(value).__name__}"
        where = f"`{path}` of the answer" if path else "the answer"
        return ProtocolError(f"{where} is {found}, expected {expected}", request_id=self.request_id)
