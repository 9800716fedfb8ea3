"""Strings of a spec and what they may hold."""

from typing import Annotated

from pydantic import StringConstraints

NAME_LIMIT = 40
"""Characters of a DistillationJob's name: what pod names leave (63) after the longest stage and slice suffixes."""


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]


_PATH = r"^[A-Za-z0-9_][A-Za-z0-9_.=-]*(/[A-Za-z0-9_][A-Za-z0-9_.=-]*)*$"


StoragePath = Annotated[str, StringConstraints(pattern=_PATH, max_length=512)]


Prefix = Annotated[str, StringConstraints(pattern=_PATH, max_length=128)]
"""Short enough for every path below it to fit into the status."""


GcsUri = Annotated[str, StringConstraints(pattern=r"^gs://[a-z0-9][-_.a-z0-9]{1,220}(/[^\s]*)?$", max_length=1024)]


HubRepo = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?$", max_length=128)
]


SplitName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""A rule says what it may hold: the words of a pattern don't tell what to use for a part of a split."""


ConfigName = Annotated[str, StringConstraints(min_length=1, max_length=128)]


ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=128)]


Cpu = Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]*m?|0\.[0-9]*[1-9]|[1-9][0-9]*\.[0-9]+)$", max_length=20)]
"""Of a pod: more than nothing, in cores or thousandths of one."""


Memory = Annotated[
    str,
    StringConstraints(
        pattern=r"^(([1-9][0-9]*(\.[0-9]+)?|0\.[0-9]*[1-9])(M|G|T|Mi|Gi|Ti)|[1-9][0-9]{7,})$", max_length=20
    ),
]
"""Of a pod: with its unit; a number alone is bytes, and a small one was meant otherwise."""


Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", max_length=20)]


ChatTemplate = Annotated[str, StringConstraints(min_length=1, max_length=16_384)]
