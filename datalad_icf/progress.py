"""How the core tells about progress, without knowing who listens"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

# Called with what is done since the last call.
Advance = Callable[[int], None]
# Called with a label, the total and its unit; gives an `Advance` to the step.
Progress = Callable[[str, int, str], AbstractContextManager[Advance]]


@contextmanager
def no_progress(label: str, total: int, unit: str) -> Iterator[Advance]:  # noqa: ARG001
    """Tell nobody"""
    yield lambda _count: None
