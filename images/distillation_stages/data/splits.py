"""The splits that the file names of a dataset's folder tell of.

The rules are those of the library ``datasets`` for a repository on the Hub, so that a repository that was downloaded
has the splits that it had there: the first of them that any name follows is the folder's. The library takes a file that
doesn't follow it for train, or passes over it; here such a file may still be held out, by what its own name says.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath

KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The splits that any part of a name tells of, and by which words."""

SHARDED = re.compile(r"^(?:data/)?(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*$")
"""What ``push_to_hub`` writes, with splits of any name. Without its folder when that itself is the dataset's."""

_SPLIT_OF_WORD = {word: split for split, words in KEYWORDS.items() for word in words}
_BETWEEN_WORDS = re.compile(r"[-._ 0-9]+")
_HELD_OUT = re.compile(r"\b(held|hold)[-_ ]out\b")
_SHARD = re.compile(r"-\d{5}-of-\d{5}")

HOLDOUT = "holdout"
"""The split of files that are called held out. The library knows no such split."""

_HELD_OUT_WORDS = {
    **{word: split for word, split in _SPLIT_OF_WORD.items() if split != "train"},
    **dict.fromkeys(("holdout", "heldout"), HOLDOUT),
}

ALL = "all"
"""Chosen as the split: every file, whatever the names seem to tell."""

DEFAULT_SPLIT = "train"
"""What the library calls the files of a folder that tells of no splits."""

NO_SPLIT = "(none)"
"""In messages, what stands for the files that no split is told of."""


def splits_of(names: Iterable[str], saved: Iterable[str] = ()) -> dict[str, frozenset[str]]:
    """By file, the splits that its name tells of; none for a file that doesn't follow the folder's rule.

    ``saved`` are the splits of a folder that ``save_to_disk`` has written, which says itself what they are.
    """
    files, known = list(names), frozenset(saved)
    rules: tuple[Callable[[str], frozenset[str]], ...] = (
        lambda name: known & {PurePosixPath(name).parts[0]},
        _by_shard,
        lambda name: _by_words(PurePosixPath(name).parts[:-1]),
        lambda name: _by_words(PurePosixPath(name).parts[-1:]),
    )
    for rule in rules:
        found = {name: rule(name) for name in files}
        named = frozenset[str]().union(*found.values())
        # "part-00000-of-00008" alone is no split, but what many name the parts of one.
        if named and (rule is not _by_shard or len(named) > 1 or named & KEYWORDS.keys()):
            return found
    return {name: frozenset() for name in files}


def effective_splits(names: Iterable[str], saved: Iterable[str] = ()) -> dict[str, frozenset[str]]:
    """By file, the splits that its name tells of, by another rule where it doesn't follow the folder's.

    A file that is of train by its folder alone, and is called nothing but ``test``, is held out too.
    """
    by_rule = splits_of(names, saved)
    has_train = any(DEFAULT_SPLIT in found for found in by_rule.values())
    return {
        name: _held_out_within(name) if found == {DEFAULT_SPLIT} else found or _by_any_rule(name, has_train)
        for name, found in by_rule.items()
    }


def held_out_of(names: Iterable[str]) -> list[str]:
    """Those of the files that the library reads as train whose names tell of other splits alone."""
    return [name for name, found in effective_splits(names).items() if found and DEFAULT_SPLIT not in found]


def tells_of_several(splits: Mapping[str, frozenset[str]]) -> bool:
    """Whether files are of different splits, so that one has to be chosen.

    Files without one beside those of train are taken for more of the same; beside test they aren't.
    """
    kinds = {found or frozenset({DEFAULT_SPLIT}) for found in splits.values()}
    return len(kinds) > 1


def of_split(splits: Mapping[str, frozenset[str]], chosen: str) -> list[str]:
    """The files of the chosen split."""
    if chosen == ALL or (chosen == DEFAULT_SPLIT and not any(splits.values())):
        return list(splits)
    return [name for name, found in splits.items() if chosen in found]


def summary(splits: Mapping[str, frozenset[str]]) -> str:
    """The splits with their numbers of files, for messages."""
    files = Counter(split for found in splits.values() for split in (found or {NO_SPLIT}))
    return ", ".join(f"{split} ({number} file{'s' * (number > 1)})" for split, number in sorted(files.items()))


def _by_shard(name: str) -> frozenset[str]:
    found = SHARDED.match(name)
    return frozenset({found[1]}) if found else frozenset()


def _by_words(parts: Iterable[str]) -> frozenset[str]:
    words = {word for part in parts for word in _BETWEEN_WORDS.split(part)}
    return frozenset(_SPLIT_OF_WORD[word] for word in words & _SPLIT_OF_WORD.keys())


def _by_any_rule(name: str, has_train: bool) -> frozenset[str]:
    """In any case of letters. Of train only where no file follows the folder's rule to it: others may be leftovers."""
    words = _words(PurePosixPath(name).parts)
    held_out = frozenset(_HELD_OUT_WORDS[word] for word in words if word in _HELD_OUT_WORDS)
    is_train = not has_train and any(word in KEYWORDS[DEFAULT_SPLIT] for word in words)
    return held_out or (frozenset({DEFAULT_SPLIT}) if is_train else frozenset())


def _held_out_within(name: str) -> frozenset[str]:
    """Of a file of train: what its own name says when it says nothing else."""
    words = _words([_SHARD.split(PurePosixPath(name).name)[0].split(".")[0]]) - {""}
    if words and words <= _HELD_OUT_WORDS.keys():
        return frozenset(_HELD_OUT_WORDS[word] for word in words)
    return frozenset({DEFAULT_SPLIT})


def _words(parts: Iterable[str]) -> set[str]:
    """Words in lower case, "held-out" as one, and "testset" without its end."""
    joined = (_HELD_OUT.sub(r"\1out", part.casefold()) for part in parts)
    return {word.removesuffix("set") for part in joined for word in _BETWEEN_WORDS.split(part)}
