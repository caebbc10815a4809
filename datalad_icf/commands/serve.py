"""``datalad icf-serve``: the store over http"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

from datalad_next.commands import (
    EnsureCommandParameterization,
    Parameter,
    ValidatedInterface,
    build_doc,
    eval_results,
    get_status_dict,
)
from datalad_next.constraints import (
    EnsureBool,
    EnsureChoice,
    EnsureInt,
    EnsureRange,
    EnsureStr,
)

from datalad_icf.commands import params
from datalad_icf.commands.results import failed, render_result
from datalad_icf.errors import IcfError, PreconditionError

if TYPE_CHECKING:
    # late, for what a command may not need
    from datalad_icf.serve import Login

lgr = getLogger('datalad.icf.serve')

# so many studies are listed at the start; the page at the address has all
_MAX_LISTED = 10


def _show(res: dict[str, Any], **kwargs: Any) -> None:
    from datalad_next.uis import ui_switcher

    if res['status'] != 'ok':
        render_result(res, **kwargs)
    elif 'config' in res:
        ui_switcher.message(res['config'].rstrip('\n'))
    else:
        pages = [f'  {url}' for url in res['pages'][:_MAX_LISTED]]
        if len(res['pages']) > _MAX_LISTED:
            pages.append(f'  and {len(res["pages"]) - _MAX_LISTED} more')
        lines = [f'{res["path"]} is served at {res["url"]}', *pages, 'Ctrl-C ends it.']
        ui_switcher.message('\n'.join(lines))


@build_doc
class IcfServe(ValidatedInterface):
    """Serve the store over http

    For a person or a small group: browsers open the overview and the catalog of each
    study, and the viewer if there is one; DICOMweb clients read what 'icf-dicomweb'
    has made; DataLad clones datasets and gets images from the tarballs. Larger
    installations have nginx or Apache, whose configuration this prints.

    Runs until Ctrl-C. Without more options, only programs on this machine reach the
    server. With a password others can, too, but http tells it to the network: let a
    server with https, or a tunnel, stand before this one. Files and directories with
    a name that starts with a dot are never served. What is asked for is not logged.

    Needs more packages: 'pip install datalad-icf[serve]'.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(_show)

    _validator_ = EnsureCommandParameterization(
        {
            'store_dir': params.EnsureStoreDir(),
            'store_url': params.EnsureStoreUrl(),
            'port': EnsureInt() & EnsureRange(min=0, max=65535),
            'bind': EnsureStr(min_len=1),
            'credential': EnsureStr(min_len=1),
            'password_file': params.EnsureSource(),
            'without_password': EnsureBool(),
            'print_config': EnsureChoice('nginx', 'apache', 'htaccess'),
        },
        validate_defaults={'store_dir', 'store_url'},
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        'store_dir': params.VISIT_PARAMS['store_dir'],
        'port': Parameter(
            args=('--port',),
            metavar='NUMBER',
            doc='port of the server; 0 takes any that is free',
        ),
        'bind': Parameter(
            args=('--bind',),
            metavar='ADDRESS',
            doc="""address of this machine at which to serve. One that other machines
            reach, like 0.0.0.0, needs a password""",
        ),
        'credential': Parameter(
            args=('--credential',),
            metavar='NAME',
            doc="""name of a credential of DataLad, with the user and the password that
            are asked for. 'datalad credentials set NAME type=user_password user=USER'
            stores one. The environment variables DATALAD_CREDENTIAL_NAME_USER and
            DATALAD_CREDENTIAL_NAME_SECRET can stand for it""",
        ),
        'password_file': Parameter(
            args=('--password-file',),
            metavar='PATH',
            doc="""file with the user and the password that are asked for, one line
            USER:PASSWORD. Only its owner may have access to it""",
        ),
        'without_password': Parameter(
            args=('--without-password',),
            action='store_true',
            doc="""serve without a password also where other machines reach the server.
            Whoever reaches it then reads names of patients""",
        ),
        'print_config': Parameter(
            args=('--print-config',),
            metavar='nginx|apache|htaccess',
            doc="""print a configuration with which nginx or Apache serve the store, or
            the .htaccess of a DICOMweb tree, and end""",
        ),
        'store_url': Parameter(
            args=('--store-url',),
            metavar='URL',
            doc="""base URL of the store, whose path is that of the printed
            configuration [default: configuration 'datalad.icf.store-url', or
            https://data.inm-icf.de]""",
        ),
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Look at a store with the browser of this machine',
            'code_cmd': 'datalad icf-serve -o /data/store',
            'code_py': "icf_serve(store_dir='/data/store')",
        },
        {
            'text': 'Serve a store to others, with a password',
            'code_cmd': 'datalad icf-serve -o /data/store --bind 0.0.0.0 '
            '--credential icf-reader',
            'code_py': "icf_serve(store_dir='/data/store', bind='0.0.0.0', "
            "credential='icf-reader')",
        },
        {
            'text': 'Make a configuration of nginx',
            'code_cmd': 'datalad icf-serve -o /data/store --print-config nginx '
            '--store-url https://data.example.org/store',
            'code_py': "icf_serve(store_dir='/data/store', print_config='nginx', "
            "store_url='https://data.example.org/store')",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        store_dir: Path = params.UNSET,
        port: int = 8000,
        bind: str = '127.0.0.1',
        credential: str | None = None,
        password_file: Path | None = None,
        without_password: bool = False,
        print_config: str | None = None,
        store_url: str = params.UNSET,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.serve import find_studies, open_server

        record: dict[str, Any] = get_status_dict(
            action='icf_serve', path=str(store_dir), type='directory', logger=lgr
        )
        try:
            if print_config:
                config = _build_config(print_config, store_dir, store_url)
                yield dict(record, status='ok', config=config)
                return
            with open_server(
                store_dir,
                host=bind,
                port=port,
                login=_find_login(credential, password_file),
                allow_anyone=without_password,
            ) as server:
                if not server.is_local:
                    lgr.warning(
                        'Other machines reach this server, and http is not encrypted'
                    )
                pages = [
                    f'{server.url}{quote(study.study_id)}/{study.pages[0].path}'
                    for study in find_studies(store_dir)
                    if study.pages
                ]
                message = f'served at {server.url}'
                yield dict(
                    record, status='ok', message=message, url=server.url, pages=pages
                )
                # who started this may wait for the address, at the other end of a pipe
                sys.stdout.flush()
                server.run()
        except (IcfError, OSError) as e:
            yield failed(record, e)


def _find_login(credential: str | None, path: Path | None) -> Login | None:
    from datalad_next.credman import CredentialManager

    from datalad_icf.serve import Login, read_login

    if credential and path:
        raise PreconditionError('a credential and a password file are one too many')
    if path:
        return read_login(path)
    if not credential:
        return None
    import datalad

    found = CredentialManager(datalad.cfg).get(credential, _type_hint='user_password')
    if not found or not found.get('user'):
        msg = (
            f'there is no credential {credential!r} with a user and a password: '
            f'datalad credentials set {credential} type=user_password user=USER'
        )
        raise PreconditionError(msg)
    return Login(found['user'], found['secret'])


def _build_config(server: str, root: Path, store_url: str) -> str:
    from datalad_icf.dicomweb.servers import (
        build_apache_config,
        build_htaccess,
        build_nginx_config,
    )

    if server == 'htaccess':
        return build_htaccess()
    build = build_nginx_config if server == 'nginx' else build_apache_config
    return build(root, unquote(urlsplit(store_url).path))
