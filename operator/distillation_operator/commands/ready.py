"""``ready``: whether an operator answers that it is ready; ``helm test`` asks it."""

import time
import urllib.error
import urllib.request
from http.client import HTTPException, InvalidURL
from urllib.parse import urlsplit

from distillation_operator.commands.errors import CommandError

SECONDS = 60.0
PAUSE = 1.0


def run(url: str) -> int:
    """Wait until the URL answers 200. Raises CommandError with what it said last, and at once for what is no URL."""
    if not _is_url(url):
        raise CommandError(f"{url} is no URL to ask: give http://HOST:PORT/readyz")
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                print(f"{url}: {answer.read().decode(errors='replace').strip()}")
                return 0
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace").strip()
        except (InvalidURL, ValueError) as error:
            raise CommandError(f"{url}: {error}: give http://HOST:PORT/readyz") from error
        except (OSError, HTTPException) as error:
            said = str(error)
        if time.monotonic() > deadline:
            raise CommandError(f"{url}: {said}")
        time.sleep(PAUSE)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # A port that is no number, say.
        return False
