"""The pages of datalad-catalog, as they are when they are served"""

from __future__ import annotations

import json
import re

import pytest

from datalad_icf.catalog.render import open_web_catalog

INDEX, TEMPLATE = 'index.html', 'templates/dataset-template.html'


@pytest.fixture(params=['created', 'patched'])
def pages(request, deposit, catalog, web_catalog):
    """The pages of a catalog that was made here, or by datalad-catalog itself"""
    deposit('V01')
    if request.param == 'patched':
        web_catalog(catalog.location).create()
        former = (catalog.location / INDEX).read_text()
        assert 'https://unpkg.com' in former
    catalog.update('V01')
    return catalog.location


def test_no_other_host_is_asked_for_a_part_of_the_page(pages):
    text = (pages / INDEX).read_text()
    assert not re.findall(
        r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//', text
    )


def test_all_parts_of_the_page_are_there(pages):
    parts = re.findall(
        r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', (pages / INDEX).read_text()
    )
    assert any('vue.' in part for part in parts)
    assert all((pages / part).exists() for part in parts)


def test_the_page_may_talk_to_its_own_server_alone(pages):
    text = (pages / INDEX).read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(r.split(maxsplit=1) for r in policy.split('; '))
    assert rules['default-src'] == "'self'"
    assert rules['connect-src'] == "'self'"
    assert 'http' not in policy
    # before anything is loaded
    assert text.index('Content-Security-Policy') < text.index('<script')


def test_the_clone_command_is_quoted(pages):
    text = (pages / TEMPLATE).read_text()
    commands = re.findall(r'datalad clone .*displayData\.url.*', text)
    assert commands
    assert all(re.search(r"clone '\{\{.*\}\}'", command) for command in commands)


def test_a_clone_command_of_an_earlier_version_is_mended(pages, catalog):
    template = pages / TEMPLATE
    mended = template.read_text()
    # which knew no name
    template.write_text(mended.replace('selectedDataset.name', 'displayData.name'))
    assert template.read_text() != mended
    catalog.update('V01')
    assert template.read_text() == mended


def test_nothing_sends_the_address_to_another_host(pages):
    assert 'openWithBinder' not in (pages / TEMPLATE).read_text()


def test_the_rest_of_the_template_stays(pages):
    text = (pages / TEMPLATE).read_text()
    assert text.count('<span') == text.count('</span>')
    for part in ('Download with DataLad', 'access_request_contact', 'show_export'):
        assert part in text


def test_the_overview_is_beside_the_page(pages):
    assert (pages / 'overview.html').exists()
    assert (pages / 'overview.json').exists()


def test_each_part_is_mended_once(pages, catalog):
    before = catalog.files()
    catalog.update('V01')
    catalog.update('V01')
    assert catalog.files() == before
    assert (pages / INDEX).read_text().count('Content-Security-Policy') == 1


def test_no_draft_is_left(pages):
    assert not [p for p in pages.rglob('*') if p.name.startswith('.')]
    assert not list(pages.glob('icf-config*'))


def test_visits_of_an_older_catalog_stay(deposit, catalog, web_catalog):
    """What datalad-catalog made, with a record of another tool"""
    deposit('V01')
    made = web_catalog(catalog.location)
    made.create()
    other = {
        'type': 'dataset',
        'dataset_id': 'other',
        'dataset_version': '1',
        'name': 'other',
        'metadata_sources': {
            'key_source_map': {},
            'sources': [{'source_name': 'x', 'source_version': '1'}],
        },
    }
    made.add_record(other)
    catalog.update('V01')
    assert made.get_record('other', '1')['name'] == 'other'


def test_a_page_that_cannot_be_mended_is_warned_about(deposit, catalog, caplog):
    deposit('V01')
    catalog.update('V01')
    index = catalog.location / INDEX
    index.write_text(
        index.read_text().replace(
            '<script', '<script src="https://cdn.example.org/x.js"></script><script', 1
        )
    )
    catalog.update('V01')
    assert 'another host' in caplog.text


@pytest.fixture
def unreleased(monkeypatch, tmp_path):
    """Lets datalad-catalog create what its unreleased version creates

    Returns a function that changes a file of the copy further.
    """
    import datalad_catalog.constants as cnst

    configs = tmp_path / 'config'
    configs.mkdir()
    config = json.loads((cnst.default_config_dir / 'config.json').read_bytes())
    config.update(include_metadata_export=True, include_binder=False)
    config.setdefault('dataset_options', {})['include_files'] = True
    (configs / 'config.json').write_text(json.dumps(config))
    monkeypatch.setattr(cnst, 'default_config_dir', configs)
    changes = [
        # the local copy is what is loaded, and the other is the comment
        (INDEX, r'(<script src="https://unpkg[^<]*</script>)', r'<!-- \1 -->'),
        (INDEX, r'<!--\s*(<script src="assets/vue[^<]*</script>)\s*-->', r'\1'),
        (TEMPLATE, r'datalad clone \{\{.*?\}\}', '{{ clone_command }}'),
        (TEMPLATE, r'<span><b-button[^>]*openWithBinder.*?</span>', ''),
        (INDEX, r' alt="datalad"', ''),
    ]

    def create(location):
        made = open_web_catalog(location)
        original = made.create

        def create_and_change(**arguments):
            original(**arguments)
            for name, pattern, replacement in changes:
                path = location / name
                if replacement is None:
                    path.unlink()
                    continue
                text = path.read_text()
                changed = re.sub(pattern, replacement, text, flags=re.DOTALL)
                assert changed != text
                path.write_text(changed)

        made.create = create_and_change
        return made

    monkeypatch.setattr('datalad_icf.catalog.site.open_web_catalog', create)
    return lambda *change: changes.append(change)


def test_the_unreleased_version_makes_a_catalog_with_a_warning(
    deposit, catalog, unreleased, caplog
):
    deposit('V01')
    catalog.update('V01')
    catalog.assert_consistent()
    assert catalog.listed == ['V01']
    (warning,) = (r.getMessage() for r in caplog.records if r.levelname == 'WARNING')
    assert 'clone command that may not work' in warning
    assert TEMPLATE in warning
    config = json.loads((catalog.location / 'config.json').read_bytes())
    assert config['include_metadata_export'] is True
    assert config['catalog_name'] == 'Imaging core facility'
    index = (catalog.location / INDEX).read_text()
    assert 'Content-Security-Policy' in index
    before = catalog.files()
    catalog.update('V01')
    assert catalog.files() == before


@pytest.mark.parametrize(
    ('change', 'warning'),
    [
        ((INDEX, r'<meta charset="utf-8"\s*/?>', ''), 'no content security policy'),
        ((TEMPLATE, '', None), 'is not there'),
        ((INDEX, r'(?=</head>)', '<script src="https://x.org/"></script>'), 'another'),
        ((TEMPLATE, r'\A', '<a @click="openWithBinder(url)">'), 'another host'),
    ],
)
def test_a_version_that_is_not_known_is_warned_about(
    deposit, catalog, unreleased, caplog, change, warning
):
    unreleased(*change)
    deposit('V01')
    catalog.update('V01')
    assert catalog.listed == ['V01']
    assert warning in caplog.text


def test_the_released_version_is_not_warned_about(pages, caplog):
    assert not [r for r in caplog.records if r.levelname == 'WARNING']
