"""Errors of the package

::

    IcfError
    +-- PreconditionError      what is needed is not there; nothing was touched
    |   +-- IdentifierError    a study or visit identifier cannot be a file name
    |   +-- MissingInputError  an earlier step has not been run
    |   +-- ConflictError      another deposit stands in the way
    |   +-- StoreAccessError   the store is not writable
    |   +-- BusyError          another process is at work on the same deposit
    |   +-- SourceError        the files of a visit cannot be packed as they are
    |   +-- TarballError       the tarball is damaged, or not safe to use
    |   +-- MetadataError      the metadata deposit is damaged, or does not fit
    +-- StoreWriteError        the store could not be written (disk full, rights)
    +-- CatalogError         datalad-catalog refused a record, or is damaged
    +-- PictureError         an image cannot be made into a picture
    +-- ViewerError          a build of the viewer is damaged, or is none
    +-- DicomError           a file is no DICOM file, or nothing of it can be read
    +-- RebuildError         a DICOM file cannot be made of a damaged DICOMweb tree
    +-- GitError               git refused to make the dataset
    |   +-- DamagedExportError a deposited dataset cannot be unpacked
    +-- StoreReadError         the store does not let something be read, or is not there
    |   +-- NoRangesError      a server sends no parts of a file
    |   +-- ReplacedTarballError a tarball is not the one that a clone knows
    +-- XnatError              an XNAT server did not do what it was asked for
        +-- XnatAccessError    it refuses the user, or the user has no right (also
        |                      a PreconditionError)
        +-- XnatConflictError  it has something else there
        +-- XnatConnectionError it cannot be reached, or is not available

A message names the file, and the way out where there is one. It never has a
value of a DICOM attribute in it that could name a patient.
"""

from __future__ import annotations

__all__ = [
    'BusyError',
    'CatalogError',
    'ConflictError',
    'DamagedExportError',
    'DicomError',
    'GitError',
    'IcfError',
    'IdentifierError',
    'MetadataError',
    'MissingInputError',
    'NoRangesError',
    'PictureError',
    'PreconditionError',
    'RebuildError',
    'ReplacedTarballError',
    'SourceError',
    'StoreAccessError',
    'StoreReadError',
    'StoreWriteError',
    'TarballError',
    'ViewerError',
    'XnatAccessError',
    'XnatConflictError',
    'XnatConnectionError',
    'XnatError',
]


class IcfError(Exception):
    """Base of all errors that the package raises on purpose"""


class PreconditionError(IcfError):
    """A precondition does not hold, and nothing in the store was changed"""


class IdentifierError(PreconditionError, ValueError):
    """A study or visit identifier cannot be one component of a path"""


class MissingInputError(PreconditionError):
    """A file that an earlier step makes is not in the store"""


class ConflictError(PreconditionError):
    """A different deposit exists already"""


class StoreAccessError(PreconditionError):
    """The store cannot be written to"""


class BusyError(PreconditionError):
    """Another process works on the same deposit at this moment"""


class SourceError(PreconditionError):
    """The directory of a visit has something that cannot be packed"""


class TarballError(PreconditionError):
    """A tarball is damaged, compressed, or has members that are not safe"""


class MetadataError(PreconditionError):
    """A file of the metadata deposit is damaged, or does not fit the others"""


class StoreWriteError(IcfError):
    """Writing to the store failed, and what was written is removed again"""


class GitError(IcfError):
    """A git process failed while a dataset was made"""


class DamagedExportError(GitError):
    """The repository of a deposited dataset cannot be unpacked"""


class CatalogError(IcfError):
    """A catalog cannot be made, or a record is none that it takes"""


class DicomError(IcfError):
    """A file is no DICOM file, or nothing of it can be read

    Parameters
    ----------
    message
        What is wrong.
    tag
        Tag of the data element that is to blame, like ``0020000D``, if there is one.
    """

    def __init__(self, message: str, tag: str = '') -> None:
        super().__init__(message)
        self.tag = tag


class NotAnInstanceError(DicomError):
    """A file of a visit is not one of its images, and needs not be one"""


class TreeError(IcfError):
    """A DICOMweb tree is damaged"""


class PictureError(IcfError):
    """An image cannot be made into a picture, or a decoder is not installed"""


class ViewerError(IcfError):
    """A build of the viewer is damaged, is none, or is not safe to be unpacked"""


class RebuildError(IcfError):
    """A file of a DICOMweb tree is missing or damaged"""


class StoreReadError(IcfError):
    """A file of a store cannot be read: refused, missing, or no connection

    Parameters
    ----------
    message
        What is wrong.
    status_code
        HTTP status of the answer, 0 if there was none.
    is_passing
        Whether it may work a little later.
    """

    def __init__(
        self, message: str, *, status_code: int = 0, is_passing: bool = False
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.is_passing = is_passing


class NoRangesError(StoreReadError):
    """A server sends no parts of a file, but the whole file can be had"""


class ReplacedTarballError(StoreReadError):
    """A store has another tarball in place of the one that a clone knows"""


class XnatError(IcfError):
    """An XNAT server did not do what it was asked for

    Parameters
    ----------
    message
        What is wrong, without any value of a DICOM attribute.
    status_code
        HTTP status of the answer, 0 if there was none or it is not to blame.
    """

    def __init__(self, message: str, status_code: int = 0) -> None:
        super().__init__(message)
        self.status_code = status_code


class XnatAccessError(XnatError, PreconditionError):
    """An XNAT server refuses the user, or the user has no right to do this"""


class XnatConflictError(XnatError):
    """An XNAT server has something else where something was to be put"""


class XnatConnectionError(XnatError):
    """An XNAT server cannot be reached, or is not available"""
