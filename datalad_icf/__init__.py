"""DataLad extension for the DICOM store of an imaging core facility"""

from __future__ import annotations

import sys

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
            'datalad_icf.commands.clone',
            'IcfClone',
            'icf-clone',
            'icf_clone',
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

# DataLad is there already where it loads this extension. The special remote, which
# git-annex starts for each `get`, needs neither, and starts in half of the time.
if 'datalad' in sys.modules:
    import datalad_icf.settings  # noqa: F401
