"""`smtpapi preview` tells a person what changes, and nothing of the mail acts on the page."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from engagement.links.keys import Ring
from engagement.links.ring_file import save_ring
from smtpapi.commands import main
from smtpapi.commands.mail.reason_texts import SKIP, WHY
from smtpapi.model.outcome import Skip, Why

NEWSLETTER = Path(__file__).parents[2] / "demo/newsletter.eml"
HOSTILE = b"""\
From: <script>alert(1)</script> <a@example.test>
Subject: </title><script>alert(2)</script>
Content-Type: text/html

<html><body><a href="https://example.com/?a=1&amp;b=%3Cscript%3E" data-msys-linkname="<b>x</b>">go</a>
<a href="javascript:alert(3)">no</a></body></html>
"""


def _preview(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["preview", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_text_shows_each_link_before_and_after_and_why_others_stay() -> None:
    shown = _preview(str(NEWSLETTER))
    assert "The lamp burns again" in shown
    assert re.search(
        r"- https://lighthouse\.example/visit\?utm_source=letter&\S+\n\s+\+ http://localhost:8080/f/a/", shown
    )
    assert "“book-a-visit”" in shown
    assert re.search(
        r'says data-msys-clicktrack="0" \(clicktrack-off\)\n\s+https://lighthouse\.example/login\?once=K7QX',
        shown,
    )


def test_another_body_is_shown_with_its_own_changes(tmp_path: Path) -> None:
    config = tmp_path / "smtpapi.conf"
    policy = tmp_path / "policy.py"
    html = b'<p>new</p><a href="https://new.example/" data-msys-linkname="one">y</a>'
    policy.write_text(f"def validate_data(msg, ac, vctx): msg.set_body({html!r})\n")
    config.write_text(f'''smtpapi {{ }} keys {{ ring = "{tmp_path}/keys" }} policy {{ file = "{policy}" }}
        ESMTP_Listener {{ click_tracking_enabled = true tracking_domain = "t.example" }}''')
    save_ring(tmp_path / "keys", Ring().rotated(b"k" * 32, 1))
    mail = tmp_path / "mail.eml"
    mail.write_bytes(HOSTILE)
    shown = _preview("--config", str(config), str(mail))
    assert "policy puts another body in the place" in shown
    assert re.search(r"- https://new\.example/\n\s+\+ https?://t\.example/f/", shown)
    assert "“one”" in shown
    assert "example.com" not in shown


def test_page_is_self_contained_and_shows_the_same(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    _preview(str(NEWSLETTER), "--html", str(page))
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>")
    outside_the_frame = re.sub(r'srcdoc="[^"]*"', "", text)
    assert not re.search(r"<(?:script|link|img|a)\b", outside_the_frame)
    assert "book-a-visit" in text
    assert "sandbox" in text


def test_nothing_of_a_hostile_mail_becomes_markup_of_the_page(tmp_path: Path) -> None:
    mail, page = tmp_path / "hostile.eml", tmp_path / "page.html"
    mail.write_bytes(HOSTILE)
    _preview(str(mail), "--html", str(page))
    outside_the_frame = re.sub(r'srcdoc="[^"]*"', "", page.read_text("utf-8"))
    assert "<script" not in outside_the_frame
    assert "<b>x</b>" not in outside_the_frame
    assert "not-http" in outside_the_frame


def test_attribute_in_a_quoted_printable_part_is_shown_as_its_author_wrote_it() -> None:
    assert '- data-msys-linkname="book-a-visit"\n' in _preview(str(NEWSLETTER))


def test_every_reason_is_said_in_words() -> None:
    assert (set(WHY), set(SKIP)) == (set(Why), set(Skip))
    assert all(text == text.strip() and not text.endswith(".") for text in (*WHY.values(), *SKIP.values()))


def test_mail_that_stays_says_why_in_words(tmp_path: Path) -> None:
    mail = tmp_path / "signed.eml"
    mail.write_bytes(b"DKIM-Signature: v=1\n" + HOSTILE)
    assert "carries a DKIM signature, which a change would break (dkim-signed)" in _preview(str(mail))


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_encoded_parts_are_shown_decoded(tmp_path: Path, encoding: str) -> None:
    body = {
        "base64": "PGEgaHJlZj0iaHR0cHM6Ly9leGFtcGxlLmNvbS9hIj5hPC9hPg==",
        "quoted-printable": '<a href=3D"https://exa=\nmple.com/a">a</a>',
    }
    mail = tmp_path / "mail.eml"
    mail.write_text(
        f"Subject: s\nContent-Type: text/html\nContent-Transfer-Encoding: {encoding}\n\n{body[encoding]}\n"
    )
    shown = _preview(str(mail))
    assert re.search(r"- https://example\.com/a\n\s+\+ http://localhost:8080/f/a/\S+\n", shown)
