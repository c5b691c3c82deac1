"""Which customer a login belongs to (contract.md 4.1, `mo_customer_id`), as the stanza customers { } says.

Not who has logged in (`smtpapi.mta`). The map's file has a login and its customer on each line, with white
space between, as Postfix's tables have; lines that begin with # are comments.

Invariant: an id has at most as many bytes as `context_variables` takes, so none is ignored later.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from engagement.settings.schema import CustomersStanza
from smtpapi.request.context_variables import MAX_CUSTOMER_ID


class CustomersError(ValueError):
    """Raised for a map that cannot be used; the text says where and why."""


def parse(octets: bytes, name: str) -> Mapping[str, str]:
    """Return the customers by login. name: of the file, for the error. Raises `CustomersError`."""
    try:
        lines = octets.decode().splitlines()
    except UnicodeDecodeError:
        raise CustomersError(f"{name}: the map of customers is not UTF-8") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        columns = line.split()
        if not columns or columns[0].startswith("#"):
            continue
        if len(columns) != 2:
            raise CustomersError(f"{name}:{number}: expected a login and its customer, two words")
        login, customer = columns
        if len(customer.encode()) > MAX_CUSTOMER_ID:
            raise CustomersError(f"{name}:{number}: a customer's id has at most {MAX_CUSTOMER_ID} bytes")
        if found.setdefault(login, customer) != customer:
            raise CustomersError(f"{name}:{number}: this login has another customer above")
    return found


def read(path: Path) -> Mapping[str, str]:
    """Return the customers by login of a file. Raises `CustomersError`."""
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise CustomersError(f"{path}: cannot read the map of customers: {error.strerror}") from None


def by_login(declared: CustomersStanza) -> Callable[[str], str]:
    """Return the function from a login to its customer's id, "" without one. Raises `CustomersError`."""
    if declared.by_login == "login":
        return lambda login: login if len(login.encode()) <= MAX_CUSTOMER_ID else ""
    if declared.by_login == "none":
        return lambda _: ""
    if not declared.map:
        raise CustomersError('customers.map is not set, and by_login = "map" needs it')
    customers = read(Path(declared.map))
    return lambda login: customers.get(login, "")
