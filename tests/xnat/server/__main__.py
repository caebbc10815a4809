"""The server as a process of its own: ``python -m tests.xnat.server``

Prints its URL, then waits. For benchmarks, where the server must not share the
interpreter of the client, and for a look with a browser or curl.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading

from tests.xnat.server import XnatServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--user', default='tester')
    parser.add_argument('--password', default='secret')
    parser.add_argument('--project', action='append', default=None)
    parser.add_argument(
        '--slow', type=float, metavar='SECONDS', help='before each request is worked on'
    )
    args = parser.parse_args()
    with XnatServer(port=args.port) as server:
        server.add_user(args.user, args.password)
        for project in args.project or ['P1']:
            server.add_project(project, **{args.user: 'owner'})
        if args.slow:
            server.faults.slow(args.slow, times=sys.maxsize)
        print(server.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == '__main__':
    main()
