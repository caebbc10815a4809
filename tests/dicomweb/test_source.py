"""Files within files"""

from __future__ import annotations

import os

import pytest

from datalad_icf.dicomweb import FileSource


@pytest.mark.parametrize('first', [0, 10, 40_000])
def test_reads_the_same_whatever_was_read_before(tmp_path, first):
    content = os.urandom(50_000)
    path = tmp_path / 'visit.tar'
    path.write_bytes(b'x' * 7 + content + b'y' * 7)
    with open(path, 'rb') as f:
        source = FileSource(f.fileno(), 7, len(content))
        assert source.read(0, first) == content[:first]
        for offset in (0, 5, 9, 10, 11, 32_768, 39_999, 49_990, 50_000, 50_001):
            for length in (0, 1, 5, 100, 60_000):
                expected = content[offset : offset + length]
                assert source.read(offset, length) == expected
