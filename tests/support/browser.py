"""A headless Chromium, and pages that remember everything that went wrong in them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from testbed import debian

PHONE = 390
"""Pixels of a phone's width."""
DESKTOP = 1280


@contextmanager
def browser(log: Path) -> Iterator[Browser]:
    """Debian's Chromium, installed where it is missing."""
    debian.install(debian.BROWSER, log)
    with sync_playwright() as playwright:
        # As root, as in a container, Chromium has no sandbox.
        made = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield made
        finally:
            made.close()


class Window:
    """A page of its own profile. ``wrong``: errors of scripts and of the console, and requests to other places."""

    def __init__(self, chromium: Browser, address: str, width: int = DESKTOP, dark: bool = False) -> None:
        """``address``: of the dashboard, ending with a slash."""
        self.address = address
        self.wrong: list[str] = []
        self._context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("console", lambda message: self._note(message.type in ("error", "warning"), message.text))
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on("request", lambda request: self._note(not request.url.startswith(address), request.url))

    def open(self, path: str = "") -> Page:
        """Go to a path of the dashboard."""
        self.page.goto(self.address + path)
        return self.page

    def close(self) -> None:
        """Close the window."""
        self._context.close()

    def overflow(self) -> list[str]:
        """What stands out over the right edge; empty when nothing does."""
        found: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll("body *")]
              .filter((element) => element.checkVisibility())
              .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
              .map((element) => element.outerHTML.slice(0, 200))
              .concat(document.documentElement.scrollWidth > innerWidth ? ["the page"] : [])"""
        )
        return found

    def focused(self) -> dict[str, Any]:
        """The element that has the focus: its text and id, whether it is in sight, and how it differs from unfocused
        ones."""
        found: dict[str, Any] = self.page.evaluate(
            """() => {
              const element = document.activeElement, box = element.getBoundingClientRect();
              const shape = element.querySelector("rect") ?? element;
              const style = getComputedStyle(element), line = getComputedStyle(shape);
              const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
              return { text: element.textContent.trim(), id: element.id, name: element.nodeName.toLowerCase(),
                inSight: box.bottom > 0 && box.top < innerHeight && box.width > 0,
                marked: outlined || (shape !== element && parseFloat(line.strokeWidth) >= 4) };
            }"""
        )
        return found

    def _note(self, is_wrong: bool, what: str) -> None:
        if is_wrong:
            self.wrong.append(what)
