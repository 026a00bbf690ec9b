"""Lists in pages, as the wire has them: in one order, from behind the item that the last page ended with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from raysweep.server.refusal import Refusal, bad

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of the items, and whether there are more."""

    items: tuple[T, ...]
    has_more: bool


def page_of(items: Sequence[T], name: Callable[[T], str], *, after: str | None, limit: int) -> Page[T]:
    """The items behind `after`. Raises Refusal for an unknown one: page one again would be an endless list."""
    start = 0
    if after is not None:
        places = [place for place, item in enumerate(items) if name(item) == after]
        if not places:
            raise Refusal(404, f"No such cursor: '{after}'.", param="after", code="invalid_cursor")
        start = places[-1] + 1
    return Page(tuple(items[start : start + limit]), start + limit < len(items))


def limit_of(given: str | None, default: int, highest: int) -> int:
    """The query's `limit`. Raises Refusal for one that is no number or out of range."""
    if given is None:
        return default
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= highest:
        raise bad(f"Invalid 'limit': expected an integer from 1 to {highest}, but got '{given}'.", param="limit")
    return int(given)
