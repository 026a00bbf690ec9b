"""A request's JSON body, read field by field; what does not fit is refused in the wire's words."""

import json
import math
from collections.abc import Collection, Mapping

from raysweep.server.refusal import Refusal, bad, missing_parameter, unknown_parameter


def parse_object(raw: bytes) -> dict[str, object]:
    """The body as an object; an empty body is an empty one."""
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise bad("We could not parse the JSON body of your request.", code=None) from error
    if not isinstance(body, dict):
        raise bad("We expected a JSON object as the body of your request.", code="invalid_type")
    return body


class Fields:
    """An object's fields by name; null is the same as absent."""

    def __init__(self, values: Mapping[str, object], path: str = "") -> None:
        self._values = {name: value for name, value in values.items() if value is not None}
        self._path = path

    def only(self, names: Collection[str]) -> None:
        """Refuse every field that is not among these."""
        for name in self._values:
            if name not in names:
                raise unknown_parameter(self._full(name))

    def has(self, name: str) -> bool:
        """Whether the field says anything."""
        return name in self._values

    def raw(self, name: str) -> object:
        """As it came; None where it did not."""
        return self._values.get(name)

    def text(self, name: str, *, longest: int = 1_000_000) -> str | None:
        """A string of 1 to `longest` characters."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._type(name, "a string", value)
        if len(value) > longest:
            raise bad(
                f"Invalid '{self._full(name)}': string too long. Expected a string with maximum length {longest}, "
                f"but got a string with length {len(value)} instead.",
                param=self._full(name),
                code="string_above_max_length",
            )
        return value

    def needed_text(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise missing_parameter(self._full(name))
        return value

    def whole(self, name: str, *, low: int, high: int) -> int | None:
        """An integer within its range."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._type(name, "an integer", value)
        self._check_range(name, value, low, high, word="integer")
        return value

    def number(self, name: str, *, low: float, high: float = math.inf) -> float | None:
        """A number within its range."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._type(name, "a decimal", value)
        self._check_range(name, value, low, high, word="decimal")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false; absent is false."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise self._type(name, "a boolean", value)
        return value

    def section(self, name: str) -> "Fields | None":
        """An object within this one."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._type(name, "an object", value)
        return Fields(value, self._full(name))

    def pairs(self, name: str) -> dict[str, str] | None:
        """At most 16 strings by name: the wire's metadata."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise self._type(name, "an object of strings", value)
        if len(value) > 16 or any(len(key) > 64 or len(one) > 512 for key, one in value.items()):
            raise bad(
                f"Invalid '{name}': at most 16 pairs, keys of 64 and values of 512 characters.",
                param=name,
                code="invalid_value",
            )
        return dict(value)

    def _check_range(self, name: str, value: float, low: float, high: float, *, word: str) -> None:
        if value < low:
            raise self._range(name, f"{word} below minimum value", f">= {low}", f"{word}_below_min_value", value)
        if value > high:
            raise self._range(name, f"{word} above maximum value", f"<= {high}", f"{word}_above_max_value", value)

    def _range(self, name: str, what: str, expected: str, code: str, value: float) -> Refusal:
        message = f"Invalid '{self._full(name)}': {what}. Expected a value {expected}, but got {value} instead."
        return bad(message, param=self._full(name), code=code)

    def _type(self, name: str, expected: str, value: object) -> Refusal:
        kinds = {bool: "a boolean", str: "a string", int: "an integer", float: "a decimal", list: "an array"}
        got = kinds.get(type(value), "an object")
        message = f"Invalid type for '{self._full(name)}': expected {expected}, but got {got} instead."
        return bad(message, param=self._full(name), code="invalid_type")

    def _full(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name
