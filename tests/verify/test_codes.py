"""The guide says of each code what to do"""

from __future__ import annotations

import re
from pathlib import Path

from datalad_icf.verify import CODES

GUIDE = Path(__file__).parents[2] / 'docs' / 'admin' / 'verify.rst'


def test_the_guide_has_each_code_once():
    table = GUIDE.read_text().partition('* - code')[2].partition('Images that came')[0]
    listed = re.findall(r'``([a-z0-9]+(?:-[a-z0-9]+)+)``', table)
    commands = {code for code in listed if code.startswith('icf-')}
    assert sorted(set(listed) - commands) == sorted(CODES)
