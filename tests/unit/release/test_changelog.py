"""Notes come from the changelog, or it is said what is missing in it."""

import pytest

from release.changelog import notes, sections
from release.errors import ReleaseError

TEXT = """# Changelog

What it is.

## Unreleased

### Added

- One.

## [0.2.0] - 2026-11-27

### Fixed

- Two, by:

  ```md
  ## 9.9.9
  ```

## 0.1.0 - 2026-10-01
- Three.
## 0.0.1

"""


def test_each_version_has_its_part_and_no_more() -> None:
    assert notes(TEXT, "0.1.0") == "- Three."
    assert notes(TEXT, "0.2.0") == "### Fixed\n\n- Two, by:\n\n  ```md\n  ## 9.9.9\n  ```"
    assert list(sections(TEXT)) == ["Unreleased", "0.2.0", "0.1.0", "0.0.1"]


def test_a_version_without_a_section_is_refused_with_the_heading_to_write() -> None:
    with pytest.raises(ReleaseError, match=r"no section for 0\.3\.0: .*`## 0\.3\.0 - YYYY-MM-DD`.*it has: Unreleased"):
        notes(TEXT, "0.3.0")
    with pytest.raises(ReleaseError, match="it has: none"):
        notes("", "0.3.0")


def test_an_empty_section_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"section for 0\.0\.1 is empty"):
        notes(TEXT, "0.0.1")
