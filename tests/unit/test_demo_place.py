"""The demonstration's folder and ports: what the environment says, and what it may not."""

from pathlib import Path

import pytest

from demo.place import Place, Unable
from engagement.settings.load import load_text


def test_defaults_are_those_of_the_readme() -> None:
    place = Place.from_environment({})
    assert (place.run, place.smtp, place.http, place.hop) == (Path(".run").absolute(), 2525, 8080, 2526)
    assert place.web == 8090
    assert place.cassandra is None


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PORT_SMTP": "x"}, "PORT_SMTP=x: expected a port number, 1 to 65535"),
        ({"PORT_HTTP": "0"}, "PORT_HTTP=0: expected a port number"),
        ({"PORT_SMTP": "65535"}, "PORT_HOP=65536 (the default): expected a port number"),
        ({"PORT_SMTP": "99", "PORT_HTTP": "99"}, "PORT_HTTP=99: another part of the demonstration listens"),
        ({"PORT_HTTP": "2526"}, "PORT_HOP=2526 (the default): another part"),
        ({"PORT_WEB": "8080"}, "PORT_WEB=8080: another part"),
        ({"STORE": "cassandra", "PORT_CASSANDRA": "8080"}, "PORT_CASSANDRA=8080: another part"),
        ({"STORE": "mysql"}, "STORE=mysql: expected sqlite or cassandra"),
        ({"RUN_DIR": "/tmp/a b"}, "RUN_DIR=/tmp/a b: Postfix takes no white space"),
    ],
)
def test_what_cannot_be_is_said_at_once(environment: dict[str, str], message: str) -> None:
    with pytest.raises(Unable) as caught:
        Place.from_environment(environment)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("store", ["sqlite", "cassandra"])
def test_configuration_loads_without_a_warning(store: str) -> None:
    place = Place.from_environment(
        {"RUN_DIR": "/run/demo", "PORT_SMTP": "9142", "STORE": store}
        | ({"PORT_CASSANDRA": "9999"} if store == "cassandra" else {})
    )
    settings = load_text(place.configuration(Path("/run/demo/milter.sock")))
    assert settings.warnings == settings.notices == ()
    assert (settings.active, settings.store.engine) == (True, store)
    assert settings.rewriting.split_listener.endswith(f":{place.hop}")
