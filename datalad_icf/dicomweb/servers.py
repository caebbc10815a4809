"""What a web server must know of the DICOMweb tree, and how to tell nginx and Apache

The address of a resource is that of its file, but for two rules: a folder stands
for the search in its ``index.json``, or for the instance in its ``index.mht``, and
a file may be stored as ``NAME.gz`` alone. The types are in one table, whose regular
expressions mean the same to Python, nginx and Apache.

The query of a search is ignored: each answer is the whole list. Only an ``offset``
beyond its start counts, since clients ask for more until there is nothing left:
204 (No Content) says so (DICOM PS3.18, 10.6.3.3).
"""

from __future__ import annotations

import re
from pathlib import Path

from datalad_icf.dicomweb.tree import (
    BOUNDARY,
    GZIP_SUFFIX,
    INDEX,
    INFO,
    PART10,
    THUMBNAIL,
)
from datalad_icf.errors import PreconditionError
from datalad_icf.store import VIEWER_DIR

JSON_TYPE = 'application/dicom+json'
# with the boundary that is in the files
FRAMES_TYPE = f'multipart/related; type="application/octet-stream"; boundary={BOUNDARY}'
INSTANCE_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
# These files are bare. Without a boundary dicomweb-client gives the body as it is,
# and it refuses any other type.
BULKDATA_TYPE = 'multipart/related; type="application/octet-stream"'
# the end of an address, and its type; all other resources are JSON_TYPE
RESOURCE_TYPES = (
    (r'/frames/[0-9]+', FRAMES_TYPE),
    (r'/bulkdata/[^/]+', BULKDATA_TYPE),
    (f'/{re.escape(PART10)}', INSTANCE_TYPE),
    (f'/{THUMBNAIL}', 'image/jpeg'),
    (f'/{INFO}', 'application/json'),
)
# what a folder stands for; the first that is there
FOLDER_FILES = (INDEX, f'{INDEX}{GZIP_SUFFIX}', PART10)
# an ``offset`` in the query of a search with nothing behind it
MORE_RESULTS = '0*[1-9]'

# files of the catalog and the viewer; fixed, as systems know more or less
FILE_TYPES = {
    'css': 'text/css; charset=utf-8',
    'html': 'text/html; charset=utf-8',
    'ico': 'image/x-icon',
    'jpg': 'image/jpeg',
    'js': 'text/javascript; charset=utf-8',
    'json': 'application/json',
    'map': 'application/json',
    'png': 'image/png',
    'svg': 'image/svg+xml',
    'tar': 'application/x-tar',
    'txt': 'text/plain; charset=utf-8',
    'wasm': 'application/wasm',
    'webmanifest': 'application/manifest+json',
    'woff': 'font/woff',
    'woff2': 'font/woff2',
    'zip': 'application/zip',
}
# what is worth to be compressed on the way
COMPRESSIBLE_TYPES = (
    JSON_TYPE,
    'application/json',
    'application/manifest+json',
    'application/wasm',
    'image/svg+xml',
    'text/css',
    'text/html',
    'text/javascript',
    'text/plain',
)

# names at the root of the store, and in the directory of a study
DICOMWEB_DIR = 'dicomweb'
# Below VIEWER_DIR: the page, and the addresses that it gives its states. There is
# nothing at most of them, and somebody may load one again.
VIEWER_PAGE = 'viewer/'
VIEWER_STATE = r'(?:.*/)?[^/.]+/?'
DEFAULT_REALM = 'icf-store'


def find_type(path: str) -> str:
    """Find the media type of a resource in the DICOMweb tree

    Parameters
    ----------
    path
        Path of the file in the tree, without the ``.gz`` of a compressed one.

    Examples
    --------
    >>> find_type('dicomweb/studies/1.2/series/index.json')
    'application/dicom+json'
    >>> find_type('dicomweb/studies/1.2/series/1.3/thumbnail')
    'image/jpeg'
    """
    for pattern, kind in RESOURCE_TYPES:
        if re.search(f'{pattern}$', path):
            return kind
    return JSON_TYPE


def build_htaccess() -> str:
    """Build the ``.htaccess`` of a DICOMweb tree, for Apache 2.4

    It is for a server whose configuration one cannot change, serves the tree below
    any address, and needs ``AllowOverride FileInfo Indexes`` and one of the options
    ``FollowSymLinks`` and ``SymLinksIfOwnerMatch``.

    Returns
    -------
    str
        Always the same text.
    """
    lines = (
        '# DICOMweb from files, for Apache 2.4 with mod_rewrite and mod_headers.',
        '# Written by datalad-icf. Needs: AllowOverride FileInfo Indexes',
        'DirectoryIndex disabled',
        'RewriteEngine On',
        *_apache_rewrites(''),
        *_apache_headers(),
        *_apache_types(f'/{DICOMWEB_DIR}/'),
    )
    return _join(lines)


def build_apache_config(
    root: Path, prefix: str = '/', *, realm: str = DEFAULT_REALM
) -> str:
    """Build the configuration of Apache 2.4 for a store

    It belongs into a ``VirtualHost``. The ``.htaccess`` of the trees is not read.

    Parameters
    ----------
    root
        Absolute path of the store.
    prefix
        Path at which the store is served, with a slash at both ends, not encoded.
    realm
        Name of what a password protects, in the lines that ask for it.

    Raises
    ------
    PreconditionError
        If a path has a character that cannot stand in a configuration.
    """
    where, path = _quote(_check_path(str(root))), _check_prefix(prefix)
    pattern = re.escape(path)
    page = _quote(f'{path}{VIEWER_DIR}/{VIEWER_PAGE}')
    alias = (
        f'DocumentRoot {where}'
        if path == '/'
        else f'Alias {_quote(path)} {_quote(f"{root}/")}'
    )
    lines = (
        '# Store of datalad-icf, for a <VirtualHost> of Apache 2.4 with mod_rewrite',
        '# and mod_headers: a2enmod rewrite headers',
        alias,
        '<IfModule mod_deflate.c>',
        '    # or a browser would never hear that a compressed file has not changed',
        '    DeflateAlterETag NoChange',
        '    <IfModule mod_filter.c>',
        f'        AddOutputFilterByType DEFLATE {" ".join(COMPRESSIBLE_TYPES)}',
        '    </IfModule>',
        '</IfModule>',
        f'<Directory {where}>',
        '    # the store holds what the DICOM files hold: a password, and https',
        f'    # AuthType Basic\n    # AuthName {_quote(realm)}',
        '    # AuthUserFile "/etc/apache2/icf-store.htpasswd"',
        '    # Require valid-user    # in place of the next line',
        '    Require all granted',
        '    Options SymLinksIfOwnerMatch',
        '    AllowOverride None',
        '    DirectoryIndex index.html',
        *(f'    AddType "{kind}" .{name}' for name, kind in FILE_TYPES.items()),
        '    RewriteEngine On',
        *_indent(_apache_rewrites(f'[^/]+/{DICOMWEB_DIR}/')),
        '    # the viewer has more addresses than files',
        '    RewriteCond "%{REQUEST_FILENAME}" !-f',
        '    RewriteCond "%{REQUEST_FILENAME}" !-d',
        f'    RewriteRule "^{VIEWER_DIR}/{VIEWER_STATE}$" {page} [R=302,L]',
        *_indent(_apache_headers()),
        *_indent(_apache_types(f'^{pattern}[^/]+/{DICOMWEB_DIR}/')),
        '</Directory>',
    )
    return _join(lines)


def _apache_rewrites(tree: str) -> list[str]:
    rules = [
        '# drafts and locks',
        r'RewriteRule "(^|/)\." - [R=404,L]',
        '# each list is whole: there is nothing more',
        rf'RewriteCond "%{{QUERY_STRING}}" "(^|&)offset={MORE_RESULTS}"',
        rf'RewriteRule "^{tree}(.*/)?index\.json(\.gz)?$" - [R=204,L]',
        '# a folder stands for a file in it, a file for its compressed form',
    ]
    for name in FOLDER_FILES:
        rules += [
            f'RewriteCond "%{{REQUEST_FILENAME}}/{name}" -f',
            *_apache_rewrite(tree, f'/{name}'),
        ]
    return [
        *rules,
        'RewriteCond "%{REQUEST_FILENAME}" !-f',
        'RewriteCond "%{REQUEST_FILENAME}.gz" -f',
        *_apache_rewrite(tree, '.gz'),
    ]


def _apache_rewrite(tree: str, end: str) -> list[str]:
    return [
        # the whole address, as a rewritten one is decoded once more
        'RewriteCond "%{REQUEST_URI}" "^(.*?)/*$"',
        f'RewriteRule "^{tree}" "%1{end}" [B=%?,L]',
    ]


def _apache_headers() -> list[str]:
    return [
        '# a browser asks whether a file has changed',
        'Header always set Cache-Control "no-cache"',
        'Header always set X-Content-Type-Options "nosniff"',
    ]


def _apache_types(tree: str) -> list[str]:
    def match(end: str) -> str:
        return f'"%{{REQUEST_URI}} =~ m#{tree}{end}#"'

    lines = [
        f'<If {match("")}>',
        f'    ForceType {JSON_TYPE}',
        '    AddEncoding gzip .gz',
        '    DirectorySlash Off',
        '    Header merge Vary "Accept-Encoding"',
        '</If>',
    ]
    for pattern, kind in RESOURCE_TYPES:
        # single quotes, as the type has double ones
        end = rf'.*{pattern}(\.gz)?$'
        lines += [f'<If {match(end)}>', f"    ForceType '{kind}'", '</If>']
    return lines


def build_nginx_config(
    root: Path, prefix: str = '/', *, realm: str = DEFAULT_REALM
) -> str:
    """Build the configuration of nginx for a store

    It belongs into a ``server`` block, and needs the modules ``gzip_static`` and
    ``gunzip``, which the packages of nginx have.

    Parameters
    ----------
    root
        Absolute path of the store.
    prefix
        Path at which the store is served, with a slash at both ends, not encoded.
    realm
        Name of what a password protects, in the lines that ask for it.

    Raises
    ------
    PreconditionError
        If a path has a character that cannot stand in a configuration.
    """
    where, path = _check_path(str(root)), _check_prefix(prefix)
    pattern = re.escape(path)
    files = f'root {_quote(where)};' if path == '/' else f'alias {_quote(where + "/")};'
    tree = f'^{pattern}[^/]+/{DICOMWEB_DIR}/'
    viewer = _quote(f'^{pattern}{VIEWER_DIR}/{VIEWER_STATE}$')
    page = _quote(f'{path}{VIEWER_DIR}/{VIEWER_PAGE}')
    lines = [
        '# Store of datalad-icf, for a server {} of nginx',
        f'location ^~ {_quote(path)} {{',
        f'    {files}',
        '    # as Apache does with SymLinksIfOwnerMatch',
        f'    disable_symlinks if_not_owner {_quote("from=" + where)};',
        '    # the store holds what the DICOM files hold: a password, and https',
        f'    # auth_basic {_quote(realm)};',
        '    # auth_basic_user_file /etc/nginx/icf-store.htpasswd;',
        '    autoindex off;',
        '    absolute_redirect off;',
        '    types {',
        *(f'        "{kind}" {name};' for name, kind in FILE_TYPES.items()),
        '    }',
        '    default_type application/octet-stream;',
        '    # a browser asks whether a file has changed',
        '    add_header Cache-Control no-cache always;',
        '    add_header X-Content-Type-Options nosniff always;',
        '    gzip on;',
        '    gzip_vary on;',
        f'    gzip_types {" ".join(_compressible_for_nginx())};',
        '    # drafts and locks',
        r'    location ~ /\. { return 404; }',
        f'    location ~ {viewer} {{',
        '        # the viewer has more addresses than files',
        f'        if (!-e $request_filename) {{ rewrite ^ {page} redirect; }}',
        '    }',
        f'    location ~ {_quote(tree)} {{',
        '        types { }',
        f'        default_type {JSON_TYPE};',
        '        # NAME.gz in place of NAME, unpacked for the few who need it',
        '        gzip_static always;',
        '        gunzip on;',
        '        # a folder stands for a file in it',
    ]
    for name in FOLDER_FILES:
        target = name.removesuffix('.gz')
        lines += [
            f'        if (-f $request_filename/{name}) {{',
            f'            rewrite ^(.*?)/*$ $1/{target} last;',
            '        }',
        ]
    lines += [
        r'        location ~ /index\.json$ {',
        '            # each list is whole: there is nothing more',
        f'            if ($arg_offset ~ "^{MORE_RESULTS}") {{',
        '                rewrite ^ $uri/nothing last;',
        '            }',
        '        }',
        '        # not `return`, which would not wait for the password',
        r'        location ~ /index\.json/nothing$ { try_files /-/ =204; }',
        *(
            f"        location ~ {_quote(pattern + '$')} {{ default_type '{kind}'; }}"
            for pattern, kind in RESOURCE_TYPES
        ),
        '    }',
        '}',
    ]
    return _join(lines)


def _compressible_for_nginx() -> list[str]:
    # text/html always is, and a second time is a warning
    return [kind for kind in COMPRESSIBLE_TYPES if kind != 'text/html']


def _check_prefix(prefix: str) -> str:
    path = prefix.strip('/')
    return _check_path(f'/{path}/') if path else '/'


def _check_path(path: str) -> str:
    # neither server can quote a $, which starts a variable
    if re.search(r'[\0-\x1f\x7f$"\\#%]', path):
        msg = (
            f'{path!r} cannot stand in the configuration of a web server, because of '
            'a control character or one of $ " \\ # %'
        )
        raise PreconditionError(msg)
    return path


def _quote(text: str) -> str:
    return f'"{text}"'


def _indent(lines: list[str], width: int = 4) -> list[str]:
    return [' ' * width + line for line in lines]


def _join(lines: tuple[str, ...] | list[str]) -> str:
    return '\n'.join(lines) + '\n'
