"""A chat template's variables, written in front of it as defaults.

So whoever renders with the template, a server of the exported student among them, gets the same without being told, and
may still hand over another value.
"""

import json
import re
from collections.abc import Mapping

_WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})")


def with_arguments(template: str, arguments: Mapping[str, str]) -> str:
    """The template with the arguments as defaults; itself where there are none."""
    # Renderers take the newline after a block away: so the template begins at the start of a line, as it did.
    return "".join(_default(name, value) for name, value in sorted(arguments.items())) + template


def _default(name: str, value: str) -> str:
    return f"{{%- if {name} is not defined %}}{{%- set {name} = {literal(value)} %}}{{%- endif %}}\n"


def literal(value: str) -> str:
    """A value as Jinja writes it: true, false and whole numbers as such, everything else as text."""
    if value in ("true", "false") or _WHOLE_NUMBER.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)
