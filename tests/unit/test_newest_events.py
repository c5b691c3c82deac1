"""What is read off the newest events: programs, where links lead, the links of one message."""

from typing import Any

from tracker_web.pages.content.newest import message_links, program, programs_table, targets

THUNDERBIRD = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.2.0"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


def click(ordinal: str, name: str, target: str, client: str = "human", **more: Any) -> dict[str, Any]:
    link_fields = {"x_link_ordinal": ordinal, "target_link_name": name, "target_link_url": target}
    return {"type": "click", "x_client_class": client, **link_fields, **more}


def test_programs_are_those_of_people() -> None:
    events = [
        click("0", "a", "https://a.example/", user_agent=THUNDERBIRD),
        {"type": "open", "x_client_class": "proxy", "user_agent": GMAIL},
        {"type": "open", "x_client_class": "prefetch", "user_agent": "other"},
        {"type": "open", "x_client_class": "human", "user_agent": ""},
        {"type": "open", "x_client_class": "human", "user_agent": THUNDERBIRD},
    ]
    rows = [row.values for row in programs_table(events, 8).rows]
    assert rows[0] == {"program": program(THUNDERBIRD), "opens": 1, "clicks": 1, "share": 0.5}
    assert program(THUNDERBIRD).startswith("Thunderbird, ")
    assert sum(row["opens"] + row["clicks"] for row in rows) == 4
    assert programs_table(events, 1).more
    assert programs_table([], 8).rows == ()


def test_a_link_leads_where_its_newest_click_went() -> None:
    events = [
        click("0", "a", "https://new.example/"),
        click("0", "a", "https://old.example/"),
        click("", "a", "https://unplaced.example/"),
        click("1", "b", ""),
    ]
    assert targets(events) == {(0, "a"): "https://new.example/", (-1, "a"): "https://unplaced.example/"}


def test_links_of_a_message_with_who_clicked_the_surest_first() -> None:
    stored = [(0, "a", "https://a.example/"), (1, "b", "https://b.example/")]
    events = [
        click("0", "a", "https://a.example/?you", "scanner", x_link_part="html"),
        click("0", "a", "https://a.example/?you", "human", x_link_part="html"),
        click("2", "c", "https://c.example/", "unknown", x_link_part="html"),
        click("0", "a", "https://a.example/", "scanner", x_link_part="text"),
        click("", "c", "https://c.example/", "scanner"),  # of a token of format 1
        {"type": "open", "x_client_class": "human"},
    ]
    found = [tuple(row.values.values()) for row in message_links(stored, events).rows]
    assert found == [
        ("1", "HTML", "a", "https://a.example/?you", "a person"),
        ("2", "HTML", "b", "https://b.example/", ""),
        ("3", "HTML", "c", "https://c.example/", "unsure"),
        ("1", "Text", "a", "https://a.example/", "a machine"),
        ("", "", "c", "https://c.example/", "a machine"),
    ]
