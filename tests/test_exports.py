"""What is public is documented, and imports point one way"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import datalad_icf

ROOT = Path(datalad_icf.__file__).parent
FILES = sorted(ROOT.rglob('*.py'))
PACKAGES = sorted(
    '.'.join(('datalad_icf', *p.parent.relative_to(ROOT).parts))
    for p in FILES
    if p.name == '__init__.py'
)
# a package may import those of lower layers, and itself
LAYERS = {
    '__init__': 1,
    'errors': 0,
    'progress': 0,
    'settings': 0,
    'store': 1,
    'dicom': 2,
    'dataset': 3,
    'catalog': 3,
    'dicomweb': 3,
    'xnat': 3,
    'serve': 4,
    'verify': 4,
    'commands': 5,
}
KNOW_DATALAD = (
    'settings.py',
    'dataset/login.py',
    'dataset/remote.py',
    'catalog/render.py',
    'commands/',
)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """The modules that a file imports, also late"""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ''


@pytest.mark.parametrize('package', PACKAGES)
def test_all_exported_names_exist_and_are_documented(package):
    module = importlib.import_module(package)
    for name in getattr(module, '__all__', []):
        exported = getattr(module, name)
        if callable(exported):
            assert exported.__doc__, name


@pytest.mark.parametrize('package', PACKAGES)
def test_exported_names_are_listed_in_the_docstring(package):
    module = importlib.import_module(package)
    listed = {line.strip() for line in (module.__doc__ or '').splitlines()}
    for name in getattr(module, '__all__', []):
        if callable(getattr(module, name)):
            assert name in listed


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_what_is_public_has_a_docstring(path):
    def check(node, name):
        assert ast.get_docstring(node), name
        if isinstance(node, ast.FunctionDef):
            return
        for child in node.body:
            child_name = getattr(child, 'name', '_')
            if not child_name.startswith('_'):
                check(child, f'{name}.{child_name}')

    check(ast.parse(path.read_text()), name_of(path))


@pytest.mark.parametrize(
    'path', [p for p in FILES if not name_of(p).startswith(KNOW_DATALAD)], ids=name_of
)
def test_datalad_is_known_to_commands_and_few_others(path):
    for module in imports(path):
        assert module.split('.')[0] not in ('datalad', 'datalad_next')


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_imports_point_one_way(path):
    own = path.relative_to(ROOT).with_suffix('').parts[0]
    for module in imports(path):
        parts = module.split('.')
        if parts[0] == 'datalad_icf' and parts[1:] and parts[1] != own:
            assert LAYERS[parts[1]] < LAYERS[own], module


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) < 400


def test_errors_are_drawn_in_the_docstring():
    from datalad_icf import errors

    for name in errors.__all__:
        assert name in errors.__doc__
        assert issubclass(getattr(errors, name), errors.IcfError)


def test_datalad_starts_without_pydicom(run):
    """Reading DICOM is slow to import, and most commands of DataLad need it not"""
    import sys

    code = 'import datalad.api, sys; datalad.api.icf_archive; print(*sys.modules)'
    done = run(sys.executable, '-c', code)
    assert done.code == 0
    loaded = done.stdout.split()
    assert 'datalad_icf.commands.archive' in loaded
    assert 'pydicom' not in loaded


def test_the_special_remote_starts_without_datalad(run):
    """git-annex starts it for each ``get``, and DataLad takes longer than an image"""
    import sys

    code = 'import datalad_icf.dataset.remote, sys; print(*sys.modules)'
    done = run(sys.executable, '-c', code)
    assert done.code == 0
    loaded = {name.split('.')[0] for name in done.stdout.split()}
    assert 'datalad_icf' in loaded
    assert not loaded & {'datalad', 'datalad_next', 'requests', 'pydicom', 'keyring'}
