"""People who sign in to the pages: passwords, sessions, roles' forms, tenants, and a proxy's word for it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from engagement.access.sessions import LIFETIME, Sessions
from engagement.access.users import Role, UserError, Users
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from tracker_web.web.app import create_app
from web.servers import Site, make_site
from web.signing_in import HOST, PASSWORD, form_of, sign_in
from web.web_events import a_hit, put

PRIVATE = (
    *("/", "/campaigns?period=12m", "/messages", f"/messages/{bytes(16).hex()}", "/live"),
    "/live/new?after=0",
    *("/recipients?address=secret@example.net", "/campaigns/secret", "/messages?export=csv"),
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqliteRegistry]:
    made = SqliteRegistry(tmp_path / "registry.db")
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path, more=f'registry {{ path = "{tmp_path}/registry.db" }}')


@pytest.fixture
def client(site: Site) -> Iterator[FlaskClient]:
    with create_app(load_file(site.config)).test_client() as client:
        yield client


def test_a_user_signs_in_and_out(registry: SqliteRegistry, site: Site, client: FlaskClient) -> None:
    Users(registry).add("Ida", PASSWORD, Role.LOOKS)
    assert client.get("/", headers=HOST).status_code == 401
    answer = sign_in(client, "ida")
    assert (answer.status_code, answer.location) == (303, "/")
    assert "HttpOnly; SameSite=Strict" in answer.headers["Set-Cookie"].replace("httponly", "HttpOnly")
    assert client.get("/", headers=HOST).status_code == 200
    cookie = client.get_cookie(f"smtpapi_session_{site.web}")
    assert cookie is not None
    assert client.post("/sign-out", data={"form": "wrong"}, headers=HOST).status_code == 400
    assert client.get("/", headers=HOST).status_code == 200
    assert client.post("/sign-out", data={"form": form_of(client)}, headers=HOST).status_code == 303
    old = {**HOST, "Cookie": f"{cookie.key}={cookie.value}"}
    assert client.get("/", headers=old).status_code == 401


@pytest.mark.parametrize(
    ("name", "password"),
    [("Ida", "wrong password 1"), ("Nobody", PASSWORD), ("", PASSWORD), ("Ida", "x" * 300)],
)
def test_a_wrong_name_and_a_wrong_password_look_the_same(
    registry: SqliteRegistry, client: FlaskClient, name: str, password: str
) -> None:
    Users(registry).add("Ida", PASSWORD, Role.LOOKS)
    answer = sign_in(client, name, password)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert password not in answer.get_data(as_text=True)


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
@pytest.mark.parametrize("body", ["&".join(["a=b"] * 400), "a" * 5000, "%ED%A0%80=%FF", "\x80\xff"])
def test_a_form_that_is_none_is_no_fault_of_the_server(client: FlaskClient, path: str, body: str) -> None:
    kind = "application/x-www-form-urlencoded"
    answer = client.post(path, data=body.encode("latin-1"), headers=HOST, content_type=kind)
    assert answer.status_code in (400, 401)


def test_who_guesses_waits_and_so_does_the_right_password(
    registry: SqliteRegistry, client: FlaskClient
) -> None:
    Users(registry).add("Ida", PASSWORD, Role.LOOKS)
    for _ in range(3):
        assert sign_in(client, password="wrong password 1").status_code == 401
    answer = sign_in(client)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_strangers_wrong_tries_do_not_lock_out_who_signed_in_from_there_before(
    registry: SqliteRegistry, site: Site, client: FlaskClient
) -> None:
    Users(registry).add("Ida", PASSWORD, Role.ADMINISTERS)
    signed_in = sign_in(client)
    assert any("smtpapi_device" in each for each in signed_in.headers.getlist("Set-Cookie"))
    client.delete_cookie(f"smtpapi_session_{site.web}", domain="localhost")
    stranger = client.application.test_client()
    for _ in range(4):
        wrong = sign_in(stranger, "IDA", "wrong password 1")
    assert wrong.status_code == 429
    assert sign_in(stranger).status_code == 429, "the right password of an unknown device waits"
    assert sign_in(client, "ida").status_code == 303


def test_a_known_device_waits_after_its_own_wrong_tries(
    registry: SqliteRegistry, client: FlaskClient
) -> None:
    Users(registry).add("Ida", PASSWORD, Role.LOOKS)
    sign_in(client)
    for _ in range(3):
        assert sign_in(client, password="wrong password 1").status_code == 401
    assert sign_in(client).status_code == 429


def test_a_device_is_known_for_its_own_user_alone(registry: SqliteRegistry, client: FlaskClient) -> None:
    Users(registry).add("Ida", PASSWORD, Role.ADMINISTERS)
    Users(registry).add("Uma", PASSWORD, Role.LOOKS)
    sign_in(client, "Uma")
    stranger = client.application.test_client()
    for _ in range(3):
        sign_in(stranger, "Ida", "wrong password 1")
    assert sign_in(client, "Ida").status_code == 429


@pytest.mark.parametrize("cookie", ["", "x", "AAAA.BBBB", "a" * 5000, ".", "\u00ff.\u00ff", "1.2.3"])
def test_a_cookie_that_names_no_device_is_a_strangers(
    registry: SqliteRegistry, site: Site, client: FlaskClient, cookie: str
) -> None:
    Users(registry).add("Ida", PASSWORD, Role.LOOKS)
    for _ in range(3):
        sign_in(client, password="wrong password 1")
    headers = {**HOST, "Cookie": f"smtpapi_device_{site.web}={cookie}"}
    answer = client.post("/sign-in", data={"name": "Ida", "password": PASSWORD}, headers=headers)
    assert answer.status_code == 429


def test_signing_in_gives_a_new_session_whatever_cookie_was_there(
    registry: SqliteRegistry, site: Site, client: FlaskClient
) -> None:
    """Session fixation: a cookie that somebody planted is not the session's."""
    Users(registry).add("Ida", PASSWORD, Role.LOOKS)
    name = f"smtpapi_session_{site.web}"
    planted = "u" + "A" * 43
    client.set_cookie(name, planted, domain="localhost")
    value = re.search(rf"{name}=([^;]+)", sign_in(client).headers["Set-Cookie"])
    assert value is not None
    assert value[1] != planted
    other = client.application.test_client()
    assert other.get("/", headers={**HOST, "Cookie": f"{name}={planted}"}).status_code == 401


def test_a_new_password_and_a_removal_end_sessions(registry: SqliteRegistry) -> None:
    users, sessions = Users(registry), Sessions(registry)
    cookies = [sessions.start(users.add(name, PASSWORD, Role.LOOKS)) for name in ("Ida", "Uma")]
    assert sessions.end_of("IDA") == 1
    assert sessions.find(cookies[0]) is None
    assert sessions.find(cookies[1]) is not None


def test_a_session_is_over_after_its_time_and_is_removed(registry: SqliteRegistry) -> None:
    now = [1_000_000.0]
    sessions = Sessions(registry, lambda: now[0])
    user = Users(registry).add("Ida", PASSWORD, Role.MANAGES, "acme")
    cookie = sessions.start(user)
    found = sessions.find(cookie)
    assert found is not None
    assert (found.user, found.role, found.tenant) == ("Ida", Role.MANAGES, "acme")
    assert found.form not in cookie
    now[0] += LIFETIME
    assert sessions.find(cookie) is None
    sessions.sweep()
    assert registry.find("session") == ()


def test_neither_password_nor_cookie_is_in_the_registry(registry: SqliteRegistry, tmp_path: Path) -> None:
    cookie = Sessions(registry).start(Users(registry).add("Ida", PASSWORD, Role.LOOKS))
    registry.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("registry.db*"))
    assert PASSWORD.encode() not in stored
    assert cookie.encode() not in stored
    assert b"$argon2id$" in stored


@pytest.mark.parametrize("cookie", ["", "u", "u" + "A" * 500, "u\u0661", "1.2", "x" * 43])
def test_a_cookie_that_is_none_signs_nobody_in(client: FlaskClient, site: Site, cookie: str) -> None:
    name = f"smtpapi_session_{site.web}"
    headers = {**HOST, "Cookie": f"{name}={cookie}"}
    assert client.get("/", headers=headers).status_code == 401


def test_a_tenants_user_sees_that_tenant_alone(
    registry: SqliteRegistry, site: Site, client: FlaskClient
) -> None:
    put(site, a_hit(recipient="secret@example.net", campaign="secret"))
    Users(registry).add("Ida", PASSWORD, Role.ADMINISTERS, "other")
    sign_in(client)
    for path in PRIVATE:
        page = client.get(path, headers=HOST).get_data(as_text=True)
        assert "data-id=" not in page, path
        assert "secret@" not in page or "address=secret@" in path, path


@pytest.mark.parametrize(("header", "status"), [("Remote-User", 200), ("X-Other", 401)])
def test_a_proxy_names_the_user_where_it_is_believed(
    registry: SqliteRegistry, tmp_path: Path, header: str, status: int
) -> None:
    more = f'registry {{ path = "{tmp_path}/registry.db" }}'
    site = make_site(tmp_path, more=more)
    text = site.config.read_text("utf-8")
    site.config.write_text(re.sub(r"web \{", 'web { login_header = "Remote-User"', text, count=1), "utf-8")
    Users(registry).add("Ida", PASSWORD, Role.LOOKS)
    client = create_app(load_file(site.config)).test_client()
    assert client.get("/", headers={**HOST, header: "Ida"}).status_code == status
    assert client.get("/", headers={**HOST, header: "Nobody"}).status_code == 401
    stranger = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/", headers={**HOST, header: "Ida"}, environ_base=stranger).status_code == 401


@pytest.mark.parametrize(
    ("name", "password", "word"),
    [
        *(("", PASSWORD, "name"), ("a\nb", PASSWORD, "name"), (" a", PASSWORD, "name")),
        *(("Ida", "short", "password"), ("Ida", "x" * 257, "password")),
        ("idaidaidaida", "IDAIDAIDAIDA", "not the name"),
    ],
)
def test_what_is_no_user_is_refused(registry: SqliteRegistry, name: str, password: str, word: str) -> None:
    with pytest.raises(UserError, match=word):
        Users(registry).add(name, password, Role.LOOKS)


def smtpapi(site: Site, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("smtpapi"))
    command = [program, "user", arguments[0], "--config", str(site.config), *arguments[1:]]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def test_the_command_makes_lists_and_removes_users(site: Site, registry: SqliteRegistry) -> None:
    made = smtpapi(site, "add", "--role", "manages", "--password-stdin", "Ida", given=f"{PASSWORD}\n")
    assert (made.returncode, made.stdout) == (0, "Ida may sign in\n"), made.stderr
    assert (
        "there is a user named ida" in smtpapi(site, "add", "--password-stdin", "ida", given=PASSWORD).stderr
    )
    assert smtpapi(site, "list").stdout == "Ida  manages\n"
    changed = smtpapi(site, "password", "--password-stdin", "Ida", given="another long one\n")
    assert "new password" in changed.stdout
    assert Users(registry).signed_in("Ida", "another long one") is not None
    assert smtpapi(site, "remove", "Ida").returncode == 0
    gone = smtpapi(site, "remove", "Ida")
    assert gone.returncode == 1
    assert "smtpapi user list" in gone.stderr
