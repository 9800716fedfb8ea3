"""The folders of stages, which users' own paths keep out of: what lies there is taken for what the stage has made."""

from distillation_api.cel import Rule
from distillation_api.contract import STAGE_FOLDER


def outside_stage_folders(member: str, instead: str) -> Rule:
    """A path of the storage, or a URI of a bucket, that lies in no stage's folder."""
    why = f"lies in the folder of a stage (PREFIX/STAGE/FINGERPRINT) or of compiled programs; {instead}"
    rule = f"{member} must lie outside the folders of stages (PREFIX/STAGE/FINGERPRINT) and of caches; {instead}"
    path = [f"self.{part}" for part in _prefixes(member)]
    return Rule(
        f"!has({path[0]}) || !{path[-1]}.matches('{STAGE_FOLDER}')",
        rule,
        field=member,
        message_expression=f"{path[-1]} + ' {why}'",
    )


def _prefixes(member: str) -> list[str]:
    parts = member.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]
