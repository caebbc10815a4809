"""Configuration items of the package, as DataLad lists them"""

from __future__ import annotations

from datalad.support.extensions import register_config

register_config(
    'datalad.icf.store-dir',
    'Root directory of the DICOM store',
    description='default of the option --store-dir of all icf-* commands',
    dialog='question',
)
register_config(
    'datalad.icf.store-url',
    'Base URL of the DICOM store',
    description='default of the option --store-url of all icf-* commands',
    default='https://data.inm-icf.de',
    dialog='question',
)
register_config(
    'datalad.icf.timezone',
    'Time zone of StudyDate and StudyTime',
    description='default of the option --timezone of icf-archive, a name of the '
    'IANA time zone database',
    default='UTC',
    dialog='question',
)
register_config(
    'datalad.icf.metadata-keywords',
    'DICOM keywords to be recorded for each image, besides the usual ones',
    description='default of the option --keywords of icf-deposit-metadata, '
    'separated by commas or blanks',
    dialog='question',
)
register_config(
    'datalad.icf.catalog-config',
    'Configuration file of the catalogs of the store',
    description='a configuration of datalad-catalog, JSON or YAML, with name, logo, '
    'colours and links of the facility',
    dialog='question',
)
register_config(
    'datalad.icf.xnat-url',
    'Address of the XNAT server',
    description='default of the option --url of all icf-xnat-* commands',
    dialog='question',
)
