"""Logging in and out, the version, the schemas: what a client asks for first"""

from __future__ import annotations

from urllib.parse import parse_qs

from tests.xnat.server.schema import SCHEMAS
from tests.xnat.server.tables import Answer, RefusedError, as_json, result_set, text
from tests.xnat.server.web import Request, route, session_cookies

GUEST = (
    '<!DOCTYPE html>\n<html><body><span id="user_info">Logged in as: '
    '<span style="color:red;">Guest</span></span></body></html>'
)


@route('GET HEAD', '/', public=True)
def home(request: Request) -> Answer:
    return Answer(200, GUEST.encode(), 'text/html;charset=UTF-8')


@route('PUT POST', '/data/services/auth', public=True)
def log_in(request: Request) -> Answer:
    """A form with user and password; the answer is the id of the session"""
    form = parse_qs(request.body.read().decode())
    user = form.get('username', form.get('j_username', ['']))[0]
    password = form.get('password', form.get('j_password', ['']))[0]
    token = request.server.accounts.log_in(user, password)
    if token is None:
        if request.server.accounts.locked(user):
            # the wording of this one message is ours
            raise RefusedError(401, 'Login attempt failed. The account is locked.')
        raise RefusedError(401, 'Login attempt failed. Please try again.')
    cookies = session_cookies(token, request.server.site)
    return text(token)._replace(headers=tuple(cookies))


@route('GET', '/data/auth')
def who(request: Request) -> Answer:
    return text(f"User '{request.user}' is logged in")


@route('GET POST', '/data/JSESSION')
def renew(request: Request) -> Answer:
    """The id of the session, which lives on"""
    cookies = session_cookies(request.token, request.server.site)
    return text(request.token)._replace(headers=tuple(cookies))


@route('DELETE', '/data/JSESSION')
def log_out(request: Request) -> Answer:
    request.server.accounts.log_out(request.token)
    return text('')


@route('GET', '/xapi/siteConfig/buildInfo')
def build_info(request: Request) -> Answer:
    """xnatpy asks for /data/version first, which XNAT has had no more since 1.7"""
    return as_json({'version': request.state.site.version, 'buildNumber': '1'})


@route('GET', '/xapi/schemas')
def schemas(request: Request) -> Answer:
    return as_json(list(SCHEMAS))


@route('GET', '/xapi/schemas/{name}')
def schema(request: Request) -> Answer:
    found = SCHEMAS.get(request.parts['name'])
    if found is None:
        raise RefusedError(404, 'Not found')
    return Answer(200, found.encode(), 'application/xml;charset=UTF-8')


@route('GET', '/xapi/access/projects')
def access(request: Request) -> Answer:
    """What the user is in each project"""
    state = request.state
    return as_json(
        [
            {'ID': one, 'role': state.role(request.user, one).capitalize() + 's'}
            for one in state.readable(request.user)
        ]
    )


@route('GET', '/data/search/elements')
def search_elements(request: Request) -> Answer:
    """Data types that can be searched; xnatpy asks each one for its fields"""
    return result_set(
        {'ELEMENT_NAME': one, 'SINGULAR': one, 'PLURAL': one, 'SECURED': 'true'}
        for one in ('xnat:subjectData', 'xnat:mrSessionData')
    )


@route('GET', '/data/search/elements/{name}')
def search_fields(request: Request) -> Answer:
    return result_set([])
