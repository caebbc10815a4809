"""Transformations: what is changed in an instance before it is converted

A transformation is a function from an `Instance` to an `Instance`. It may leave
out data elements, or replace them; metadata, bulk data, ``info`` and search
records are made of what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from datalad_icf.dicomweb.model import Element, Instance

Transformation = Callable[[Instance], Instance]

# Private Information and its creator (PS3.10, 7.1)
_PRIVATE_META = frozenset((0x00020100, 0x00020102))
# Data Set Trailing Padding, in which anything can be
_PADDING = 0xFFFCFFFC


def strip_private(instance: Instance) -> Instance:
    """Leave out private data elements, in sequences too (PS3.5, 7.8)

    What nobody knows is left out, too: values whose VR is not known, as they may be
    sequences with private elements in them, what could not be read, the preamble,
    padding, and private information in the file meta information (0002,0100 and 0102).

    Returns
    -------
    Instance
        The same object if there is nothing to be left out.
    """
    elements = _strip(instance.elements)
    file_meta = tuple(e for e in instance.file_meta if e.tag not in _PRIVATE_META)
    preamble = instance.preamble and bytes(len(instance.preamble))
    if (
        elements is instance.elements
        and len(file_meta) == len(instance.file_meta)
        and preamble == instance.preamble
        and not instance.trailing.length
    ):
        return instance
    return replace(
        instance,
        elements=elements,
        file_meta=file_meta,
        preamble=preamble,
        trailing=instance.trailing._replace(length=0),
    )


def transform(instance: Instance, chain: Iterable[Transformation]) -> Instance:
    """Apply transformations, one after the other"""
    for transformation in chain:
        instance = transformation(instance)
    return instance


def _strip(elements: tuple[Element, ...]) -> tuple[Element, ...]:
    kept = []
    is_changed = False
    for element in elements:
        # groups of odd number are private
        if element.tag & 0x10000 or element.vr == 'UN' or element.tag == _PADDING:
            is_changed = True
            continue
        if element.items:
            items = tuple(
                item if stripped is item.elements else item._replace(elements=stripped)
                for item in element.items
                for stripped in (_strip(item.elements),)
            )
            if any(a is not b for a, b in zip(items, element.items)):
                is_changed = True
                element = element._replace(items=items)
        kept.append(element)
    return tuple(kept) if is_changed else elements
