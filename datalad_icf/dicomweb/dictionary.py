"""The data dictionaries of pydicom, without pydicom

With pydicom come NumPy and all decoders of images that are installed, and that takes
longer than to convert hundreds of images. Its dictionaries are modules that import
nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType


@lru_cache
def public_vrs() -> Mapping[int, str]:
    """VRs that the data dictionary has of public attributes of data sets, by tag"""
    entries = _load('_dicom_dict').DicomDictionary
    return {tag: entry[0] for tag, entry in entries.items() if tag < 0xFFFE0000}


def find_repeated(tag: int) -> str | None:
    """Look up the VR of an attribute that several groups have, such as overlays

    Examples
    --------
    >>> find_repeated(0x60023000)
    'OB or OW'
    """
    digits = f'{tag:08X}'
    # a tag in it is like '60xx3000'
    for mask, entry in _load('_dicom_dict').RepeatersDictionary.items():
        if all(m in ('x', d) for m, d in zip(mask, digits)):
            vr: str = entry[0]
            return vr
    return None


def find_private(tag: int, creator: str) -> str | None:
    """Look up the VR of a private element in the block of a *Private Creator*

    Examples
    --------
    >>> find_private(0x00191015, 'SIEMENS MR HEADER')
    'FD'
    """
    entries = _load('_private_dict').private_dictionaries.get(creator, {})
    digits = f'{tag:08X}'
    block = f'{digits[:4]}xx{digits[6:]}', f'{digits[:2]}xxxx{digits[6:]}'
    entry = next((entries[key] for key in (digits, *block) if key in entries), None)
    return None if entry is None else entry[0]


@lru_cache
def _load(name: str) -> ModuleType:
    qualified = f'pydicom.{name}'
    if 'pydicom' not in sys.modules and (package := find_spec('pydicom')):
        spec = PathFinder.find_spec(name, package.submodule_search_locations)
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return import_module(qualified)
