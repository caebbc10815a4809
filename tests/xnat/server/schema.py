"""The data types of the server, as xnatpy reads them when it connects

XNAT publishes its XML schemas under /xapi/schemas, and xnatpy makes its classes
from them. These have the few types and fields that the server knows.
"""

from __future__ import annotations

from textwrap import indent

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<xs:schema targetNamespace="http://nrg.wustl.edu/{name}"
  xmlns:{name}="http://nrg.wustl.edu/{name}"
  xmlns:xdat="http://nrg.wustl.edu/xdat"
  xmlns:xs="http://www.w3.org/2001/XMLSchema"
  elementFormDefault="qualified" attributeFormDefault="unqualified">
"""


def _element(name: str, kind: str = 'xs:string') -> str:
    return f'<xs:element name="{name}" type="{kind}" minOccurs="0"/>'


def _list(name: str, item: str, kind: str) -> str:
    return (
        f'<xs:element name="{name}" minOccurs="0"><xs:complexType><xs:sequence>\n'
        f'  <xs:element name="{item}" type="{kind}" minOccurs="0"'
        ' maxOccurs="unbounded"/>\n'
        '</xs:sequence></xs:complexType></xs:element>'
    )


# custom fields: a text and its name
FIELDS = """<xs:element name="fields" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="field" minOccurs="0" maxOccurs="unbounded">
    <xs:annotation><xs:appinfo><xdat:element displayIdentifiers="name"/>
    </xs:appinfo></xs:annotation>
    <xs:complexType><xs:simpleContent><xs:extension base="xs:string">
      <xs:attribute name="name" type="xs:string"/>
    </xs:extension></xs:simpleContent></xs:complexType>
  </xs:element>
</xs:sequence></xs:complexType></xs:element>"""


def _type(name: str, *content: str, base: str = '', attributes: str = '') -> str:
    own = '<xs:sequence>\n' + indent('\n'.join(content), '  ') + '\n</xs:sequence>\n'
    own += ''.join(
        f'<xs:attribute name="{one}" type="xs:string"/>\n' for one in attributes.split()
    )
    if base:
        own = (
            f'<xs:complexContent><xs:extension base="{base}">\n{indent(own, "  ")}'
            '</xs:extension></xs:complexContent>\n'
        )
    return f'<xs:complexType name="{name}">\n{indent(own, "  ")}</xs:complexType>\n'


def _xnat() -> str:
    types = [
        _type(
            'projectData',
            _element('name'),
            _element('description'),
            attributes='ID secondary_ID',
        ),
        _type('abstractDemographicData'),
        _type(
            'demographicData',
            _element('dob', 'xs:date'),
            _element('yob', 'xs:integer'),
            _element('age', 'xs:integer'),
            _element('gender'),
            base='xnat:abstractDemographicData',
        ),
        _type(
            'subjectData',
            _element('demographics', 'xnat:abstractDemographicData'),
            FIELDS,
            _list('experiments', 'experiment', 'xnat:subjectAssessorData'),
            _list('resources', 'resource', 'xnat:abstractResource'),
            attributes='ID project label',
        ),
        _type(
            'experimentData',
            _element('date', 'xs:date'),
            _element('time', 'xs:time'),
            FIELDS,
            _list('resources', 'resource', 'xnat:abstractResource'),
            attributes='ID project label',
        ),
        _type(
            'subjectAssessorData', _element('subject_ID'), base='xnat:experimentData'
        ),
        _type(
            'imageSessionData',
            _list('scans', 'scan', 'xnat:imageScanData'),
            base='xnat:subjectAssessorData',
            attributes='modality UID',
        ),
        _type(
            'imageScanData',
            _element('image_session_ID'),
            _element('quality'),
            _element('series_description'),
            _element('frames', 'xs:integer'),
            attributes='ID type UID modality',
        ),
        _type('abstractResource', attributes='label file_count file_size format'),
        _type('resource', base='xnat:abstractResource'),
        _type('resourceCatalog', base='xnat:resource'),
    ]
    for name in ('mr', 'ct', 'pet', 'otherDicom'):
        types.append(_type(f'{name}SessionData', base='xnat:imageSessionData'))
        types.append(_type(f'{name}ScanData', base='xnat:imageScanData'))
    return HEAD.format(name='xnat') + ''.join(types) + '</xs:schema>\n'


SCHEMAS = {
    'xdat': HEAD.format(name='xdat').replace(
        '  xmlns:xdat="http://nrg.wustl.edu/xdat"\n', '', 1
    )
    + '</xs:schema>\n',
    'xnat': _xnat(),
}
