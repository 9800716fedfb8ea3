"""A child is deleted by its UID: what has come to have its name meanwhile is somebody else's."""

import asyncio

from support.controller import Controller


def test_what_came_under_the_name_of_a_child_is_not_deleted_for_it() -> None:
    async def scenario() -> Controller:
        controller = Controller()
        await controller.step()
        replaced = controller.server.objects["Job", "ml", "job-fetch-teacher-0"]
        replaced["metadata"]["uid"] = "of-somebody-else"
        controller.change(suspend=True)
        await controller.step()
        return controller

    controller = asyncio.run(scenario())
    assert sorted(controller.server.deleted) == ["job-fetch-student-0", "job-prepare-dataset-0"]
    assert ("Job", "ml", "job-fetch-teacher-0") in controller.server.objects
