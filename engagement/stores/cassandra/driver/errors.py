"""Errors of the driver, in words that say what to do."""

import ssl
from collections.abc import Mapping

from cassandra import AuthenticationFailed, OperationTimedOut, Timeout, Unauthorized, Unavailable
from cassandra.cluster import NoHostAvailable

from engagement.settings.schema import CassandraClientStanza
from engagement.stores.cassandra.driver.session import name_of


def explained(stanza: CassandraClientStanza, error: Exception) -> str:
    """Return what an error means, and what the operator may do about it."""
    causes: list[Exception] = [error]
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, Mapping):  # a list where no name fits
        causes = list(error.errors.values()) or causes
    cause = next((each for each in causes if isinstance(each, AuthenticationFailed)), causes[0])
    name = name_of(stanza)
    match cause:
        case AuthenticationFailed():
            return (
                f"{name}: login of user '{stanza.user}' refused. Compare cassandra_client.user and "
                f"password_file ({stanza.password_file or 'none'}) with its roles."
            )
        case Unauthorized():
            return f"{name}: user '{stanza.user}' may not do this ({cause}). Grant it on {stanza.keyspace}."
        case Unavailable():
            return f"{name}: too few nodes are up for consistency {stanza.consistency} ({_one_line(cause)})."
        case Timeout() | OperationTimedOut():
            return f"{name}: no answer in time ({_one_line(cause)})."
        case ssl.SSLError():
            return (
                f"{name}: {_one_line(cause)}. Is cassandra_client.ca_file the authority of its certificates?"
            )
        case FileNotFoundError() | PermissionError() if cause.filename:
            return f"{name}: {cause.filename}: {cause.strerror}."
        case _:
            pass
    return f"{name}: no node can be used ({_one_line(cause)}). Is it running, and reachable from here?"


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
