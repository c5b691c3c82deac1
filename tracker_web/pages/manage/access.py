"""Who may look and call: users and API keys. For those who administer."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from engagement.access.keys import ApiKey, ApiKeys, NameTakenError
from engagement.access.scopes import EVERY
from engagement.access.sessions import Sessions
from engagement.access.users import Role, User, UserError, Users
from tracker_web.pages import site
from tracker_web.pages.content.refusals import refusal
from tracker_web.pages.content.tables import Table, listed

_ROLES = tuple(role.value for role in Role)


def blueprint() -> Blueprint:
    """Return the page `/access`, and what its forms send to."""
    pages = Blueprint("access", __name__, url_prefix="/access")

    @pages.get("")
    def front() -> ResponseReturnValue:
        """Return users and keys."""
        site.only(Role.ADMINISTERS)
        return _page()

    @pages.post("/keys")
    def add_key() -> ResponseReturnValue:
        """Make a key, and show it this once."""
        site.checked_form(Role.ADMINISTERS)
        try:
            made = ApiKeys(site.registry()).add(
                request.form.get("name", "").strip(), tuple(request.form.getlist("scope")), site.tenant()
            )
        except (NameTakenError, ValueError) as error:
            return _page(trouble=refusal(error), status=422)
        return _page(made=made)

    @pages.post("/keys/revoke")
    def revoke_key() -> ResponseReturnValue:
        """End a key."""
        site.checked_form(Role.ADMINISTERS)
        name = request.form.get("name", "")
        if any(key.name == name and key.tenant == site.tenant() for key in ApiKeys(site.registry()).all()):
            ApiKeys(site.registry()).revoke(name)
        return site.go_to(url_for("access.front"))

    @pages.post("/users")
    def add_user() -> ResponseReturnValue:
        """Make a user."""
        site.checked_form(Role.ADMINISTERS)
        name, role = request.form.get("name", "").strip(), request.form.get("role", "")
        try:
            Users(site.registry()).add(
                name,
                request.form.get("password", ""),
                Role(role if role in _ROLES else "looks"),
                site.tenant(),
            )
        except UserError as error:
            return _page(trouble=refusal(error), status=422)
        return site.go_to(url_for("access.front"))

    @pages.post("/users/remove")
    def remove_user() -> ResponseReturnValue:
        """Remove a user, and end their sessions."""
        site.checked_form(Role.ADMINISTERS)
        found = Users(site.registry()).get(request.form.get("name", ""))
        if found is not None and found.tenant == site.tenant():
            Users(site.registry()).remove(found.name)
            Sessions(site.registry()).end_of(found.name)
        return site.go_to(url_for("access.front"))

    return pages


def _page(*, made: str = "", trouble: str = "", status: int = 200) -> ResponseReturnValue:
    here = site.tenant()
    keys = [key for key in ApiKeys(site.registry()).all() if key.tenant == here]
    users = [user for user in Users(site.registry()).all() if user.tenant == here]
    return site.page(
        "access.html",
        (_users_table(users), _keys_table(keys)),
        status=status,
        keys=keys,
        users=users,
        scopes=EVERY,
        roles=_ROLES,
        made=made,
        trouble=trouble,
    )


def _users_table(users: list[User]) -> Table:
    rows = ({"name": user.name, "role": user.role.value} for user in users)
    return listed("users", *rows, columns=("name", "role"))


def _keys_table(keys: list[ApiKey]) -> Table:
    rows = (
        {"name": key.name, "hint": key.hint, "scopes": ", ".join(key.scopes), "revoked": bool(key.revoked_ms)}
        for key in keys
    )
    return listed("keys", *rows, columns=("name", "hint", "scopes", "revoked"))
