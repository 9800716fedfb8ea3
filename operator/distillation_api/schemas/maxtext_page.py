"""The page of MaxText's settings: ``python -m distillation_api.schemas.maxtext_page`` prints it as Markdown."""

from distillation_api.maxtext.managed import MANAGED_BY_FIELD, NO_FIELD
from distillation_api.maxtext.settings import ALLOWED, Enumeration, Kind

_TUNING = """\
# MaxText settings

Made from the tables by `make generate`. A training stage gives MaxText's own tuning settings in `maxText`, as strings:
`{remat_policy: save_qkv_proj, adam_b2: "0.99", sa_block_q: "1024"}`. The API server refuses every other name, and
values of the wrong kind.

| setting | values | what it does |
| --- | --- | --- |
"""

_MANAGED = """
## What the operator manages

These follow from fields of the stage, or of the spec where the whole path is given.

| field | MaxText's settings |
| --- | --- |
"""

_UNLISTED = """
## Everything else

Numbers, booleans and enumerations of MaxText's that are in neither table go into `maxTextUnlisted` of the stage, on an
operator that was installed with the chart's value `maxText.allowUnlisted: true`. Without it such a job is not accepted
(`UnlistedSettingsRefused`). The training program compares them with the installed MaxText before it starts, and ends
with `SettingRefused` for what MaxText doesn't have, or has with another type. Paths, URIs, functions, dictionaries,
ports, names and profilers can't be set at all.
"""


def page() -> str:
    """What ``maxText`` may set, and what to use in place of the rest."""
    tuning = [f"| `{name}` | {_values(setting.kind)} | {setting.meaning} |" for name, setting in ALLOWED.items()]
    managed = [f"| {_field(field)} | {_code(names)} |" for field, names in MANAGED_BY_FIELD.items()]
    return _TUNING + _table(tuning) + _MANAGED + _table(managed) + _UNLISTED


def _table(rows: list[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def _field(field: str) -> str:
    return "none: the operator alone" if field == NO_FIELD else f"`{field}`"


def _values(kind: Kind) -> str:
    return _code(kind.values) if isinstance(kind, Enumeration) else str(kind)


def _code(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    print(page(), end="")
