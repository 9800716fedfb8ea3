"""U20: names of variables that a manifest may hand to chat templates."""

import pytest

from cluster.wrong_manifests import changed, put
from distillation_api.spec.template_arguments import RESERVED
from distillation_operator.commands.validation import validate

BOTH = ("generation", "student")


@pytest.mark.parametrize("of", BOTH)
@pytest.mark.parametrize("name", ["enable_thinking", "reasoning_effort", "_x", "a" * 64, "messages_kept", "nonesuch"])
def test_a_variable_has_a_name_of_jinjas(of: str, name: str) -> None:
    assert validate(changed(put(f"spec.{of}.chatTemplateArguments", {name: "true"}))) == []


@pytest.mark.parametrize("of", BOTH)
@pytest.mark.parametrize("name", ["1st", "x}}{{y", "a b", "", "a-b", "a.b", "Ä", "a\n", "a" * 65])
def test_anything_else_is_refused(of: str, name: str) -> None:
    messages = validate(changed(put(f"spec.{of}.chatTemplateArguments", {name: "true"})))
    assert any("at most 64 lower case letters, digits and underscores, no digit first" in told for told in messages)


@pytest.mark.parametrize("of", BOTH)
@pytest.mark.parametrize("name", RESERVED)
def test_what_renderers_set_themselves_is_refused(of: str, name: str) -> None:
    [message] = validate(changed(put(f"spec.{of}.chatTemplateArguments", {"enable_thinking": "true", name: "true"})))
    assert message.endswith(f"must not set what the renderer itself hands to templates: {name}")
