"""The store of the demo as ``datalad icf-serve`` serves it"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import ProxyHandler, Request, build_opener

from demo.sandbox import DemoError, Sandbox

_CREDENTIAL = 'site'
_SECONDS = 30


class Site:
    """What is served

    Attributes
    ----------
    url
        Address of the store, with a slash at its end.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        token = base64.b64encode(f'{user}:{password}'.encode()).decode()
        self._headers = {'Authorization': f'Basic {token}'}

    def get(self, address: str) -> bytes:
        """Get a resource, relative to the store"""
        request = Request(urljoin(self.url, address), headers=self._headers)
        # no proxy stands between
        opener = build_opener(ProxyHandler({}))
        with opener.open(request, timeout=_SECONDS) as response:
            content: bytes = response.read()
        return content

    def check(self, study: str) -> None:
        """See that pages, pictures and images of a study are there

        Raises
        ------
        DemoError
            If something is missing.
        """
        catalog = f'{study}/catalog/'
        pictures = 0
        try:
            self.get(f'{catalog}overview.html')
            overview = json.loads(self.get(f'{catalog}overview.json'))
            for visit in overview['visits']:
                links = [visit['viewer']] if 'viewer' in visit else []
                for values in visit['series']:
                    # what is last may be left out
                    series = dict(zip(overview['columns'], values, strict=False))
                    if series.get('thumbnail'):
                        links.append(series['thumbnail'])
                        pictures += 1
                for link in links:
                    self.get(urljoin(catalog, link))
            found = json.loads(self.get(f'{study}/dicomweb/studies'))
            images = sum(record['00201208']['Value'][0] for record in found)
        except (OSError, HTTPException, ValueError, LookupError) as e:
            msg = f'the store is not served as it has to be: {e}'
            raise DemoError(msg) from e
        what = 'study' if len(found) == 1 else 'studies'
        print(
            f'  a viewer finds {len(found)} DICOM {what} with {images} images, '
            f'and the table has pictures of {pictures} series'
        )


@contextmanager
def serve_all(sandbox: Sandbox, port: int, user: str, password: str) -> Iterator[Site]:
    """Serve the store of the demo with everything in it

    Parameters
    ----------
    sandbox
        Has the store.
    port
        Where to serve it.
    user, password
        What the server asks for.

    Raises
    ------
    DemoError
        If it does not start.
    """
    name = f'DATALAD_CREDENTIAL_{_CREDENTIAL.upper()}'
    command = ['datalad', 'icf-serve', '-o', 'store', '--port', str(port)]
    command += ['--credential', _CREDENTIAL]
    print(f'$ {" ".join(command)}', flush=True)
    log = sandbox.root / 'icf-serve.log'
    with open(log, 'w') as output:
        process = subprocess.Popen(
            command,
            cwd=sandbox.root,
            env={
                **sandbox.environment,
                f'{name}_USER': user,
                f'{name}_SECRET': password,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        site = Site(f'http://127.0.0.1:{port}/', user, password)
        _wait_for(site, process, log)
        yield site
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # it may have ended by itself, as where its port is taken
    if process.poll() is not None:
        return
    try:
        # as Ctrl-C does
        os.killpg(process.pid, signal.SIGINT)
        process.wait(_SECONDS)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _wait_for(site: Site, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            site.get('')
            return
        time.sleep(0.1)
    msg = f'icf-serve did not start: {log.read_text().strip()}'
    raise DemoError(msg)
