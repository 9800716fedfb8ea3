"""The base of every model: camelCase outside, snake_case inside, unknown fields refused, values immutable."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from distillation_api.cel import Rule

VALIDATIONS = "x-kubernetes-validations"
"""Key of a schema's CEL rules."""


class Model(BaseModel):
    """A value that users or stage programs read and write as camelCase JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[list[Rule]] = []
    """CEL rules about a value of this model; they stand in its schema."""

    def to_json_dict(self) -> dict[str, Any]:
        """This value as plain JSON types, camelCase, without what is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        json_schema = handler(schema)
        if cls.rules:
            handler.resolve_ref_schema(json_schema)[VALIDATIONS] = [rule.to_json_dict() for rule in cls.rules]
        return json_schema


class Rules:
    """Marks a member with CEL rules about its own value, beside those of its model."""

    def __init__(self, *rules: Rule) -> None:
        self._rules = rules

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # Of a model this is a reference, next to which the rules stand; its own are where it is defined.
        return {**handler(schema), VALIDATIONS: [rule.to_json_dict() for rule in self._rules]}


@dataclass(frozen=True)
class ListMap:
    """Marks a list that is a map keyed by a member, for server-side apply."""

    key: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        json_schema = handler(schema)
        json_schema["x-kubernetes-list-type"] = "map"
        json_schema["x-kubernetes-list-map-keys"] = [self.key]
        return json_schema
