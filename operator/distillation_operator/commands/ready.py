"""``ready``: whether an operator answers that it is ready; ``helm test`` asks it."""

import time
import urllib.error
import urllib.request

from distillation_operator.commands.errors import CommandError

SECONDS = 60.0
PAUSE = 1.0


def run(url: str) -> int:
    """Wait until the URL answers 200. Raises CommandError with what it said last."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                print(f"{url}: {answer.read().decode(errors='replace').strip()}")
                return 0
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace").strip()
        except (OSError, ValueError) as error:
            said = str(error)
        if time.monotonic() > deadline:
            raise CommandError(f"{url}: {said}")
        time.sleep(PAUSE)
