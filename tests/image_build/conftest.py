"""A testbed whose images are those that the tests build."""

from collections.abc import Iterator

import pytest

from testbed.cluster import Testbed
from testbed.site import Depth


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    # The images that run are those that were built.
    made = Testbed("pytest-images", Depth.FULL, images=[])
    made.up()
    yield made
    made.down()
