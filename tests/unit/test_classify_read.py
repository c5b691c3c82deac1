"""Files of rules: what is read, and what is told of a file that cannot be used."""

import os
import re
from pathlib import Path

import mmdb_writer
import netaddr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.classify.agents import Parts, robot_list
from engagement.classify.followed import FollowedRules
from engagement.classify.model import Context, Seen, Within
from engagement.classify.networks import AsDatabase
from engagement.classify.patterns import compiled
from engagement.classify.read import SHIPPED, RulesError, read_rules
from engagement.classify.rule_set import _many
from engagement.classify.shipped import shipped
from engagement.events.model import Hit
from engagement.links.model import Kind
from engagement.settings.schema import ClassifyStanza
from unit.event_samples import hit

RULE = """version = 7

[[rule]]
name = "ours"
class = "scanner"
certainty = "certain"
agent_contains = "our-monitor"
reason = "our own"
source = "us"
"""


def open_of(address: str) -> Hit:
    return hit(Kind.OPEN, user_agent="Mozilla/5.0", client_address=address)


def written(folder: Path, text: str, name: str = "05-site.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_rules_of_the_site_go_before_those_behind_their_name(tmp_path: Path) -> None:
    written(tmp_path, RULE)
    rules = read_rules(tmp_path)
    label = rules.classify(hit(user_agent="Mozilla/5.0 (X11) Thunderbird/128 Our-Monitor"))
    assert (label.client, label.reason, label.rules) == ("scanner", "ours", "7")
    assert [rule.name for rule in rules.rules][1:] == [rule.name for rule in shipped().rules]


def test_a_file_of_the_same_name_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    written(tmp_path, RULE, "20-mail-programs.toml")
    names = {rule.name for rule in read_rules(tmp_path).rules}
    assert "ours" in names
    assert "mail-program" not in names


def test_what_editors_leave_beside_a_file_is_no_file_of_rules(tmp_path: Path) -> None:
    written(tmp_path, RULE)
    (tmp_path / ".#05-site.toml").symlink_to("ida@host.1234:5678")  # the lock of Emacs
    for name in (".05-site.toml.swp", "05-site.toml~", "#05-site.toml#", ".half.toml"):
        (tmp_path / name).write_text("half a")
    assert read_rules(tmp_path).rules[0].name == "ours"


def test_the_greatest_version_is_that_of_all_labels(tmp_path: Path) -> None:
    assert {rule.label.rules for rule in shipped().rules} == {shipped().version}
    written(tmp_path, RULE)
    assert {rule.label.rules for rule in read_rules(tmp_path).rules} == {"7"}


def test_a_list_of_networks_lies_beside_its_rules(tmp_path: Path) -> None:
    written(tmp_path, (SHIPPED / "40-prefetchers.toml").read_text("utf-8"), "40-prefetchers.toml")
    assert read_rules(tmp_path).classify(open_of("172.224.226.1")).certain is False
    (tmp_path / "apple.csv").write_text(
        "# egress\n172.224.226.0/27,GB,GB-EN,London,\n2a02:26f7::/64,US,,,\n", "utf-8"
    )
    rules = read_rules(tmp_path)
    assert rules.classify(open_of("172.224.226.1")).reason == "apple-privacy-network"
    assert rules.classify(open_of("2a02:26f7::9")).reason == "apple-privacy-network"
    assert rules.classify(open_of("172.224.226.32")).reason == "apple-privacy"
    assert rules.classify(open_of("::ffff:172.224.226.1")).reason == "apple-privacy-network"
    (tmp_path / "apple.csv").write_text("nonsense\n", "utf-8")
    with pytest.raises(RulesError, match=r"apple\.csv:1: no network: 'nonsense'"):
        read_rules(tmp_path)


WRONG = [
    ('name = "ours"\n', "", "4: a name|3: name is missing"),
    ('class = "scanner"', 'class = "robot"', r":5: class is one of human, proxy, .*not 'robot'"),
    ('certainty = "certain"', 'certainty = "sure"', ":6: certainty is one of certain, probable"),
    ('agent_contains = "our-monitor"', 'agent_contians = "x"', ":7: 'agent_contians' is no key"),
    ('agent_contains = "our-monitor"', 'agent_contains = ["ab"]', ":7: a part of an agent has three"),
    *(
        (
            'agent_contains = "our-monitor"',
            f"agent_contains = {value}",
            ":7: agent_contains is a text or a list",
        )
        for value in ('["our", ""]', '["our", 5]', "[5]", "5", '[["our"]]', "true")
    ),
    *(
        ('agent_contains = "our-monitor"', f"as_number = {value}", ":7: as_number is a number or a list")
        for value in ("[1, 0]", "[1, true]", '"1"', "1.5", "[1, -1]", "[]")
    ),
    ('agent_contains = "our-monitor"', "agent_contains = []", ":7: agent_contains is empty"),
    ('agent_contains = "our-monitor"', 'agent_matches = "(a+)+"', ":7: a group may not be repeated"),
    ('agent_contains = "our-monitor"', 'network = "10.0.0.1/8"', ":7: no network: .*host bits"),
    ('agent_contains = "our-monitor"', 'signals = "LOUD"', ":7: 'LOUD' is no signal; there are RECORDED"),
    ('agent_contains = "our-monitor"', "burst = { links = 3 }", r":7: burst = { links = N, seconds = N }"),
    *(
        ('agent_contains = "our-monitor"', f"burst = {{ links = 3, seconds = {value} }}", ":7: burst = {")
        for value in ("nan", "inf", "-inf", "0", "true", "3601")
    ),
    ('agent_contains = "our-monitor"\n', "", ":3: a rule without a condition would hold for every hit"),
    ('agent_contains = "our-monitor"', 'scope = "clicks"', ":3: a rule without a condition"),
    ('agent_contains = "our-monitor"', 'agent_list = "mine"', ":7: there is no list 'mine'"),
    ('agent_contains = "our-monitor"', "as_number = -1", ":7: as_number is a number"),
    ('agent_contains = "our-monitor"', "link_name = []", ":7: link_name is empty"),
    ('agent_contains = "our-monitor"', 'link_name = ["", "x"]', ":7: link_name is a text or a list"),
    ('agent_contains = "our-monitor"', "spoiled = false", ":7: spoiled = true, or leave it out"),
    ('agent_contains = "our-monitor"', 'network_file = "../x"', ":7: a file beside this one"),
    ('agent_contains = "our-monitor"', 'network_file = ".x"', ":7: a file beside this one"),
    ('agent_contains = "our-monitor"', "seconds_after_delivery = 1e9", ":7: .*of a day at most"),
    ('reason = "our own"', "reason = 3", ":8: reason is missing"),
    ("version = 7", "version = 0", ":1: version = N, from 1 to 999"),
    ('source = "us"', 'source = "us', r":9: no TOML: .*line 9"),
    ('[[rule]]\nname = "ours"', '[[rule]]\nname = "head"', ":4: a second rule of the name|:4:|head"),
]


@pytest.mark.parametrize(("right", "wrong", "message"), WRONG)
def test_a_wrong_file_is_told_with_its_line_and_what_to_write(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert right in RULE
    path = written(tmp_path, RULE.replace(right, wrong, 1))
    with pytest.raises(RulesError) as caught:
        read_rules(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/") or str(caught.value).startswith(f"{SHIPPED}/")
    assert re.search(message, str(caught.value)), caught.value
    assert path.exists()


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a+)+$", "repeated"),
        ("(?:ab)*", "repeated"),
        ("(?:a|b){2,}", "repeated"),
        (".*foo.*", "at most one"),
        (r"\d+\.\d+", "at most one"),
        ("a{3,}b*", "at most one"),
        ("(?=x)", r"\(\?: "),
        ("(?<!x)y", r"\(\?: "),
        (r"(a)\1", "references"),
        ("Firefox", "lower case"),
        ("(", "no regular expression"),
        ("a{1,500}b+", "at most one"),
    ],
)
def test_patterns_that_may_take_long_are_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compiled(pattern)


def test_a_name_that_is_there_twice_is_told_with_both_places(tmp_path: Path) -> None:
    first = written(tmp_path, RULE.replace('"ours"', '"burst"'))
    with pytest.raises(RulesError, match=f"'burst', as in {re.escape(str(first))}: give one of them another"):
        read_rules(tmp_path)


@given(st.text("ab(", max_size=2048))
def test_patterns_that_are_taken_are_quick_whatever_comes(agent: str) -> None:
    for pattern in (r"a+b", r"(?:a|b)a*\(", r"[ab]{1,20}c"):
        compiled(pattern).search(agent)


@given(st.lists(st.text("abc", min_size=3, max_size=6), max_size=20), st.text("abc", max_size=40))
def test_parts_are_those_that_stand_in_the_text(parts: list[str], text: str) -> None:
    assert Parts(parts).within(text) == {part for part in parts if part in text}


def test_the_list_of_robots_is_that_of_its_package() -> None:
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    from agents.shares import people, robots

    patterns = [re.compile(entry["pattern"]) for entry in CRAWLER_USER_AGENTS_DATA]
    ours = robot_list("crawler-user-agents")
    for agent in (*robots(), *people()[::5]):
        assert ours.names(agent) == any(pattern.search(agent) for pattern in patterns)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([b"1", b"2", b"3", b"4"])), max_size=12),
    st.integers(0, 40),
    st.integers(1, 4),
    st.integers(1, 20),
)
def test_a_burst_is_a_span_with_so_many_different_links(
    seen: list[tuple[int, bytes]], at: int, number: int, seconds: int
) -> None:
    seen.append((at, b"1"))  # the hit that is judged
    spans = range(at - seconds, at + 1)
    expected = any(
        len({what for when, what in seen if begin <= when <= begin + seconds}) >= number for begin in spans
    )
    hits = [Seen(when * 1000, what) for when, what in sorted(seen)]
    assert _many(hits, at * 1000, Within(number, seconds)) == expected


# Followed while they change


class Following:
    def __init__(self, folder: Path, database: str = "") -> None:
        self.reports: list[str] = []
        self.now = 0.0
        self.folder = folder
        self._rules = FollowedRules(
            ClassifyStanza(rules=str(folder), as_database=database), self.reports.append, lambda: self.now
        )

    def write(self, text: str, name: str = "05-site.toml") -> None:
        path = written(self.folder, text, name)
        self.now += 2
        os.utime(path, (self.now, self.now))

    def names(self) -> str:
        rules = self._rules.current()
        return f"{rules.rules[0].name} {rules.version}"


def test_rules_change_while_programs_run_and_wrong_ones_leave_the_last_good(tmp_path: Path) -> None:
    following = Following(tmp_path)
    assert following.names() == f"head {shipped().version}"
    following.write(RULE)
    assert following.names() == "ours 7"
    following.write(RULE.replace("scanner", "robot"))
    assert following.names() == "ours 7"
    assert following.reports == [
        f"{tmp_path}/05-site.toml:5: class is one of human, proxy, prefetch, scanner, probe, unknown, "
        "not 'robot'; the last good rules stay in force"
    ]
    following.now += 5
    assert following.names() == "ours 7"
    assert len(following.reports) == 1  # once a change
    following.write(RULE.replace("= 7", "= 8").replace('"ours"', '"mine"'))
    assert following.names() == "mine 8"
    following.write(RULE.replace("= 7", "= 8").replace("our-monitor", "my-monitor"))
    assert following.names() == "ours 8"
    assert "their version is still 8: raise it" in following.reports[1]


def test_rules_are_looked_at_once_a_second(tmp_path: Path) -> None:
    following = Following(tmp_path)
    following.names()
    written(tmp_path, RULE)
    assert following.names().startswith("head")
    following.now += 1
    assert following.names() == "ours 7"


def test_a_folder_that_is_not_there_is_told_and_the_programs_own_rules_hold(tmp_path: Path) -> None:
    following = Following(tmp_path / "none")
    assert following.names() == f"head {shipped().version}"
    assert following.reports == [
        f"{tmp_path}/none: No such file or directory; the program's own rules are in force"
    ]


# Autonomous systems


def test_a_system_is_found_in_the_operators_database(tmp_path: Path) -> None:
    database = mmdb_writer.MMDBWriter(6, "GeoLite2-ASN", ipv4_compatible=True)
    database.insert_network(netaddr.IPSet(["198.51.100.0/24"]), {"autonomous_system_number": 8075})
    database.insert_network(netaddr.IPSet(["2001:db8::/32"]), {"autonomous_system_number": 64500})
    database.to_db_file(str(tmp_path / "as.mmdb"))
    (tmp_path / "rules").mkdir()
    rules = FollowedRules(
        ClassifyStanza(rules=str(tmp_path / "rules"), as_database=str(tmp_path / "as.mmdb")), print
    ).current()
    found = {
        address: rules.classify(hit(client_address=address), Context()).reason
        for address in ("198.51.100.7", "2001:db8::1", "203.0.113.9", "", "nonsense")
    }
    assert found.pop("198.51.100.7") == "microsoft-system"
    assert set(found.values()) == {"browser"}


def test_a_database_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "as.mmdb").write_bytes(b"nonsense")
    following = Following(tmp_path, str(tmp_path / "as.mmdb"))
    following.names()
    assert "as.mmdb" in following.reports[0]
    assert following.reports[0].endswith("the program's own rules are in force")


def as_database(path: Path) -> bytes:
    """A database of many systems; its bytes."""
    database = mmdb_writer.MMDBWriter(4, "GeoLite2-ASN")
    for number in range(1, 200):
        name = f"{'o' * 300}{number}"
        facts = {"autonomous_system_number": number, "autonomous_system_organization": name}
        database.insert_network(netaddr.IPSet([f"{number}.0.0.0/8"]), facts)
    database.to_db_file(str(path))
    return path.read_bytes()


def test_a_damaged_database_knows_nothing_and_loses_no_hit(tmp_path: Path) -> None:
    path = tmp_path / "as.mmdb"
    whole = as_database(path)
    path.write_bytes(whole[:3000] + b"\xff" * 57_000 + whole[60_000:])
    found = AsDatabase(path)
    assert {found.of(f"{number}.1.1.1") for number in range(1, 200)} <= {0, *range(1, 200)}
    assert found.of("6.1.1.1") == 0


@pytest.mark.parametrize("size", [0, 100])
def test_a_database_that_is_overwritten_in_its_place_is_still_the_one_that_was_read(
    tmp_path: Path, size: int
) -> None:
    as_database(tmp_path / "as.mmdb")
    found = AsDatabase(tmp_path / "as.mmdb")
    os.truncate(tmp_path / "as.mmdb", size)
    assert [found.of(f"{number}.1.1.1") for number in (5, 150)] == [5, 150]
