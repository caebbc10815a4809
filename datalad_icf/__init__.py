"""DataLad extension for the DICOM store of an imaging core facility"""

from __future__ import annotations

from datalad.support.extensions import register_config

__version__ = '0.1.0'

command_suite = (
    'DICOM store of an imaging core facility',
    [
        (
            'datalad_icf.commands.deposit',
            'IcfDeposit',
            'icf-deposit',
            'icf_deposit',
        ),
        (
            'datalad_icf.commands.archive',
            'IcfArchive',
            'icf-archive',
            'icf_archive',
        ),
        (
            'datalad_icf.commands.deposit_metadata',
            'IcfDepositMetadata',
            'icf-deposit-metadata',
            'icf_deposit_metadata',
        ),
        (
            'datalad_icf.commands.deposit_dataset',
            'IcfDepositDataset',
            'icf-deposit-dataset',
            'icf_deposit_dataset',
        ),
        (
            'datalad_icf.commands.catalog',
            'IcfCatalog',
            'icf-catalog',
            'icf_catalog',
        ),
        (
            'datalad_icf.commands.dicomweb',
            'IcfDicomweb',
            'icf-dicomweb',
            'icf_dicomweb',
        ),
        (
            'datalad_icf.commands.serve',
            'IcfServe',
            'icf-serve',
            'icf_serve',
        ),
        (
            'datalad_icf.commands.verify',
            'IcfVerify',
            'icf-verify',
            'icf_verify',
        ),
        (
            'datalad_icf.commands.xnat_push',
            'IcfXnatPush',
            'icf-xnat-push',
            'icf_xnat_push',
        ),
        (
            'datalad_icf.commands.xnat_list',
            'IcfXnatList',
            'icf-xnat-list',
            'icf_xnat_list',
        ),
        (
            'datalad_icf.commands.xnat_archive',
            'IcfXnatArchive',
            'icf-xnat-archive',
            'icf_xnat_archive',
        ),
        (
            'datalad_icf.commands.xnat_demographics',
            'IcfXnatDemographics',
            'icf-xnat-demographics',
            'icf_xnat_demographics',
        ),
        (
            'datalad_icf.commands.xnat_share',
            'IcfXnatShare',
            'icf-xnat-share',
            'icf_xnat_share',
        ),
    ],
)

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
