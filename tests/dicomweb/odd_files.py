"""Data sets that are odd, each in its own way"""

from __future__ import annotations

from struct import pack

from tests.dicomweb.dicom_bytes import UNDEFINED, element, fragments, item, sequence


def pixels(value=b'abcdef', vr='OB', *, little=True, frames=None, bits=8):
    """The elements of a small image"""
    order = '<H' if little else '>H'
    values = {
        (0x00280002, 'US'): pack(order, 1),
        (0x00280008, 'IS'): frames,
        (0x00280010, 'US'): pack(order, 2),
        (0x00280011, 'US'): pack(order, 3),
        (0x00280100, 'US'): pack(order, bits),
        (0x7FE00010, vr): value,
    }
    return b''.join(
        element(tag, v, content, little=little)
        for (tag, v), content in values.items()
        if content is not None
    )


NAME = element(0x00100010, 'PN', b'Doe^Jane')
PRIVATE = element(0x00091001, 'UN', b'ab')
INNER = element(0x00080100, 'SH', b'T-1 ')
CREATOR = element(0x00090010, 'LO', b'ACME')

# what is odd, and the data set
ODD = {
    'undefined sequences': sequence(
        0x00081140, 'SQ', item(INNER, length=UNDEFINED), length=UNDEFINED
    ),
    'undefined sequence, defined item': sequence(
        0x00081140, 'SQ', item(INNER), length=UNDEFINED
    ),
    'defined sequence, undefined item': sequence(
        0x00081140, 'SQ', item(INNER, length=UNDEFINED)
    ),
    'lengths of both kinds': sequence(
        0x00081140, 'SQ', item(INNER, length=UNDEFINED), item(INNER)
    )
    + sequence(0x00081150, 'SQ', item(INNER), length=UNDEFINED),
    'private sequences within each other': CREATOR
    + sequence(
        0x00091002,
        'SQ',
        item(
            CREATOR,
            sequence(0x00091003, 'SQ', item(INNER, length=UNDEFINED), length=UNDEFINED),
            length=UNDEFINED,
        ),
        item(),
        length=UNDEFINED,
    ),
    'empty sequences': sequence(0x00081140, 'SQ')
    + sequence(0x00081150, 'SQ', length=UNDEFINED),
    'empty items': sequence(0x00081140, 'SQ', item(), item(length=UNDEFINED)),
    'sequence as UN': sequence(
        0x00081140, 'UN', item(element(0x00080100, '', b'T-1 ')), length=UNDEFINED
    ),
    'sequence as UN with a sequence': sequence(
        0x00081140,
        'UN',
        item(
            sequence(0x00081150, '', item(element(0x00080100, '', b'T-1 '))),
            length=UNDEFINED,
        ),
        length=UNDEFINED,
    ),
    'group lengths': element(0x00080000, 'UL', pack('<L', 12))
    + element(0x00080060, 'CS', b'MR  ')
    + element(0x00100000, 'UL', pack('<L', 16))
    + NAME,
    'wrong group lengths': element(0x00080000, 'UL', pack('<L', 99))
    + element(0x00080060, 'CS', b'MR  ')
    + element(0x00100000, 'UL', b'')
    + NAME,
    'group length in an item': sequence(
        0x00081140, 'SQ', item(element(0x00080000, 'UL', pack('<L', 12)), INNER)
    ),
    'wrong order': NAME + element(0x00080060, 'CS', b'MR'),
    'wrong order in an item': sequence(
        0x00081140, 'SQ', item(element(0x00080104, 'LO', b'ab'), INNER)
    ),
    'the same tag twice': NAME + element(0x00100010, 'LO', b'Roe^Jane') + NAME,
    'a sequence twice': sequence(0x00081140, 'SQ', item(INNER), length=UNDEFINED)
    + sequence(0x00081140, 'SQ', item(INNER, INNER)),
    'odd lengths': element(0x00100010, 'PN', b'Doe') + element(0x00100020, 'LO', b'7'),
    'padding': element(0x00100010, 'PN', b'Doe     ')
    + element(0x00100020, 'LO', b'7\0\0\0')
    + element(0x00080018, 'UI', b'1.2.3 '),
    'numbers that are none': element(0x00200013, 'IS', b'1A')
    + element(0x00280030, 'DS', b'+1.50\\1,5\\ 2')
    + element(0x00280106, 'US', b'abc')
    + element(0x00189073, 'FD', pack('<d', float('nan'))),
    'characters that are none': element(0x00080005, 'CS', b'ISO_IR 192')
    + element(0x00100010, 'PN', b'D\xf6e^Jane'),
    'an unknown character set': element(0x00080005, 'CS', b'ISO_IR 999')
    + element(0x00100010, 'PN', b'D\xf6e^Jane'),
    'unknown VR': element(0x00100010, 'XX', b'Doe^Jane') + NAME[:4] + NAME[4:],
    'implicit VR within': element(0x00080060, '', b'MR')
    + element(0x00100010, 'PN', b'Doe^Jane'),
    'reserved bytes': b'\x09\x00\x10\x10UN\x77\x66\x02\0\0\0ab' + NAME,
    'delimiter with a length': element(
        0x00081140,
        'SQ',
        item(INNER) + pack('<HHL', 0xFFFE, 0xE0DD, 0),
        length=UNDEFINED,
    )
    + NAME,
    'a stray delimiter': sequence(0x00081140, 'SQ', item(INNER))
    + pack('<HHL', 0xFFFE, 0xE0DD, 0)
    + NAME,
    'large private value': CREATOR + element(0x00091001, 'OB', bytes(200_000)),
    'large text': element(0x00204000, 'UT', b'ab ' * 70_000),
    'value of undefined length': element(
        0x00091001,
        'OB',
        b'abcdefgh' + pack('<HHL', 0xFFFE, 0xE0DD, 0),
        length=UNDEFINED,
    ),
    'trailing zeros': NAME + bytes(77),
    'trailing garbage': NAME + b'\xfe\xff\x99\x99' + b'garbage' * 3,
    'much trailing garbage': NAME + b'\xfe\xff\x99\x99' + bytes(range(250)) * 36,
    'cut': NAME + element(0x00204000, 'LT', b'abcdef', length=600),
    'cut in a header': NAME + element(0x00204000, 'LT', b'abcdef')[:6],
    'cut in a sequence': NAME
    + sequence(0x00081140, 'SQ', item(INNER, length=UNDEFINED), length=UNDEFINED)[:-12],
    'pixels': pixels(),
    'frames': pixels(b'abcdefghijkl', frames=b'2 '),
    'frames that do not end on a byte': pixels(b'\x9a\xbc', bits=1, frames=b'2 '),
    'bits after the last frame': pixels(b'\xff\xff', bits=1, frames=b'2 '),
    'padding of pixels': pixels(b'abcdef' + bytes(40)),
    'bytes after the frames': pixels(b'abcdef' + b'garbage' * 1000),
    'too few frames': pixels(b'abcdefgh', frames=b'2 '),
    'no whole frame': pixels(b'ab'),
    'much, but no whole frame': pixels(bytes(7000), bits=64, frames=b'999 ')[:-3],
    'pixels that are cut': pixels(b'abcdefghijkl', frames=b'2 ')[:-3],
    'pixels of unknown size': element(0x7FE00010, 'OW', b'abcdef'),
    'no pixels': element(0x7FE00010, 'OW'),
    'float pixels': element(0x7FE00008, 'OF', bytes(24)),
    'pixels of two kinds': pixels() + element(0x7FE00009, 'OD', bytes(48)),
    'pixels twice': pixels() + element(0x7FE00010, 'OB', b'ghijkl'),
    'elements after the pixels': pixels() + element(0xFFFCFFFC, 'OB', bytes(30)),
    'pixels in an item': sequence(0x00880200, 'SQ', item(pixels())) + pixels(),
    'fragments in an item': sequence(
        0x00880200, 'SQ', item(fragments(b'', b'abcd', b'ef'))
    ),
}

# what is odd, and the fragments
ENCAPSULATED = {
    'one': (b'', b'abcd'),
    'table': (pack('<L', 0), b'abcd'),
    'wrong table': (pack('<L', 8), b'abcd'),
    'several for one frame': (pack('<L', 0), b'abcd', b'ef', b''),
    'none': (b'',),
    'nothing': (),
    'large table': (bytes(6000), b'abcd'),
}
