"""The browser of this machine, for tests of pages"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def start_chromium(
    arguments: Sequence[str], give_up: Callable[[str], None]
) -> Iterator[Any]:
    """Start Chromium

    Parameters
    ----------
    arguments
        Of its command line.
    give_up
        Called with the reason if there is none; skips or fails the test.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        give_up('playwright is not installed (pip install playwright)')
    executable = shutil.which('chromium')
    if not executable:
        give_up('there is no chromium on the PATH (apt-get install chromium)')
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=executable, args=[*arguments]
            )
        except Error as e:
            give_up(f'{executable} does not start: {e}')
        yield browser
        browser.close()
