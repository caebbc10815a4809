"""The metadata of a series in short: what all instances have is there once"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def iter_deduplicated(instances: Iterable[list[bytes]]) -> Iterator[bytes]:
    """Write the metadata of a series in short

    Parameters
    ----------
    instances
        The JSON of the data elements of each instance, such as
        ``b'"0020000D":{"vr":"UI","Value":["1.2"]}'``.

    Yields
    ------
    bytes
        Parts of a JSON object: ``common`` has the data elements of the first
        instance; each of ``instances`` has in ``changed`` the data elements in
        which it differs, and in ``absent`` the tags that it does not have.
    """
    common: dict[bytes, bytes] = {}
    separator = b',\n"instances":[\n'
    for instance in instances:
        # a quoted tag has ten characters
        elements = {element[:10]: element for element in instance}
        if not common:
            common = elements
            yield b'{"common":{' + b','.join(common.values()) + b'}'
        changed = [e for tag, e in elements.items() if common.get(tag) != e]
        absent = [tag for tag in common if tag not in elements]
        yield separator
        both = b','.join(changed), b','.join(absent)
        yield b'{"changed":{%b},"absent":[%b]}' % both
        separator = b',\n'
    yield b'\n]}\n' if common else b'{"common":{},"instances":[]}\n'


def expand(deduplicated: dict[str, Any]) -> list[dict[str, Any]]:
    """Get the metadata of a series back

    Parameters
    ----------
    deduplicated
        A document that was written by `iter_deduplicated`, as Python has it.

    Examples
    --------
    >>> expand({'common': {'1': 'a', '2': 'b'},
    ...         'instances': [{'changed': {'2': 'c'}, 'absent': ['1']}]})
    [{'2': 'c'}]
    """
    common = deduplicated['common']
    instances = []
    for instance in deduplicated['instances']:
        elements = {**common, **instance['changed']}
        for tag in instance['absent']:
            del elements[tag]
        instances.append(dict(sorted(elements.items())))
    return instances
