"""Dimensions as YAML writes them: a bare value is fixed, a mapping has a `kind`."""

from typing import Annotated

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from raysweep.dimensions import (
    Branch,
    Choice,
    Dimension,
    Fixed,
    Integer,
    LogUniform,
    QUniform,
    Scalar,
    Uniform,
    as_param,
)

_DIMENSIONS: dict[str, type[Dimension]] = {
    "fixed": Fixed,
    "choice": Choice,
    "uniform": Uniform,
    "loguniform": LogUniform,
    "quniform": QUniform,
    "integer": Integer,
    "branch": Branch,
}


def _to_dimension(raw: object) -> object:
    """A dimension from what YAML gives: a bare value is fixed, a mapping has a `kind`."""
    if not isinstance(raw, dict):
        if isinstance(raw, list | tuple):
            raise ValueError(  # noqa: TRY004  # pydantic reports ValueError only
                "a list is ambiguous here: write {kind: choice, values: […]} or {kind: fixed, value: […]}"
            )
        return raw if isinstance(raw, Dimension) else _fixed(raw)
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in _DIMENSIONS:
        raise ValueError(f"kind: {kind!r} is not a dimension's; known: {', '.join(_DIMENSIONS)}")
    if kind == "branch" and isinstance(raw.get("branches"), dict):
        branches = {
            str(name): {str(key): _to_dimension(value) for key, value in _branch(str(name), inner).items()}
            for name, inner in raw["branches"].items()
        }
        raw = {**raw, "branches": branches}
    try:
        return TypeAdapter(_DIMENSIONS[kind]).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}") from error


def _fixed(raw: object) -> Fixed:
    try:
        return Fixed(as_param(raw))
    except TypeError as error:  # pydantic reports ValueError only
        raise ValueError(str(error)) from error


def _branch(name: str, inner: object) -> dict[object, object]:
    if inner is None:
        return {}
    if not isinstance(inner, dict):
        raise ValueError(f"branches.{name}: a mapping of dimensions is expected, not {inner!r}")  # noqa: TRY004
    return inner


SpaceEntry = Annotated[
    Annotated[Fixed | Choice | Uniform | LogUniform | QUniform | Integer | Branch, Field(discriminator="kind")],
    BeforeValidator(_to_dimension, json_schema_input_type=Dimension | Scalar),
]
