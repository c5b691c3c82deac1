"""Recipients whom a real Postfix adds behind the filter: always_bcc, bcc maps, aliases (row H17)."""

import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.hop_site import HopSite, running
from mta.mta_site import free_port, until
from mta.site_parts import HTML, html_mail
from mta.smtp_sink import Sink

pytestmark = pytest.mark.mta

ADDED = ("always@b.sink.test", "for-one@b.sink.test", "from-a@b.sink.test")
_OPTIONS = {
    "always_bcc": ADDED[0],
    "recipient_bcc_maps": f"inline:{{ {{ one@b.sink.test = {ADDED[1]} }} }}",
    "sender_bcc_maps": f"inline:{{ {{ a@sender.test = {ADDED[2]} }} }}",
    "virtual_alias_maps": "inline:{ { team@alias.test = t1@b.sink.test, t2@b.sink.test } }",
    "virtual_alias_domains": "alias.test",
    "recipient_canonical_maps": "inline:{ { old@b.sink.test = new@b.sink.test } }",
    "myorigin": "b.sink.test",
}


@pytest.fixture(scope="module", params=["own", "none", "shared"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HopSite]:
    folder = tmp_path_factory.mktemp(request.param)
    with running(folder, options=_OPTIONS) as one:
        text = one.filter.config.read_text()
        if request.param != "own":  # that is what a site has that says nothing
            text = text.replace("rewriting {", f"rewriting {{ added_recipients = {request.param}", 1)
            one.filter.config.write_text(text)
            one.filter.stop()
            one.filter.log.unlink()
            one.filter.start()
        one.added = request.param
        yield one


def _owners(site: HopSite, people: list[str]) -> dict[str, str]:
    """Whose links each recipient got, "" for none; and that nobody else got anything."""
    site.idle()
    for who in people:
        site.sink.wait_for(who)
    assert sorted(who for each in site.sink.got for who in each.recipients) == sorted(people)
    return {
        who: "".join({one.identity.recipient for one in site.filter.links(each.body)})
        for each in site.sink.got
        for who in each.recipients
    }


@pytest.mark.parametrize(
    ("named", "reached"),
    [
        (["one@b.sink.test"], ["one@b.sink.test"]),
        (["team@alias.test"], ["t1@b.sink.test", "t2@b.sink.test"]),
        (["old@b.sink.test"], ["new@b.sink.test"]),
        (["bob"], ["bob@b.sink.test"]),
        (['"cy dee"@b.sink.test'], ['"cy dee"@b.sink.test']),
        (["one@b.sink.test", "team@alias.test"], ["one@b.sink.test", "t1@b.sink.test", "t2@b.sink.test"]),
    ],
    ids=["plain", "alias", "canonical", "no-domain", "quoted", "several"],
)
def test_h17_nobody_has_the_links_of_another(site: HopSite, named: list[str], reached: list[str]) -> None:
    added = [who for who in ADDED if who != ADDED[1] or "one@b.sink.test" in named]
    site.sink.got.clear()
    before = {record.id for record in site.filter.injections()}
    html = HTML.replace(b"See", " ".join(["See", *named]).encode())  # a mail of its own
    site.send(
        named, html_mail(html), rcpt=["ORCPT=rfc822;client+2B{}"] if named == ["team@alias.test"] else []
    )
    mode = site.added
    owners = _owners(site, [*reached, *added])
    if mode == "shared" and len(named) == 1:
        assert set(owners.values()) == set(named)  # docs/postfix.md says so
        return
    assert owners == {who: who for who in reached} | {who: who if mode != "none" else "" for who in added}
    for each in site.sink.got:
        assert b"x-smtpapi-split" not in each.message.lower()
        if mode == "none" and each.recipients[0] in added:
            assert each.body == html
    records = [record for record in site.filter.injections() if record.id not in before]
    kinds = {record.recipient: record.rcpt_type for record in records}
    assert kinds == {who: "" for who in reached} | {who: "bcc" for who in added}


def test_h17_an_alias_and_its_member_reach_the_member_as_often_as_untracked(site: HopSite) -> None:
    """Postfix keeps both; the hop neither adds nor takes."""
    named = ["team@alias.test", "t1@b.sink.test"]
    counts = []
    for sent in (
        html_mail(),
        html_mail(X_MSYS_API='{"options": {"click_tracking": false, "open_tracking": false}}'),
    ):
        site.sink.got.clear()
        site.send(named, sent)
        site.sink.wait_for(ADDED[0])
        site.idle()
        counts.append(sorted(who for each in site.sink.got for who in each.recipients))
    assert counts[0] == counts[1]
    assert counts[0].count("t1@b.sink.test") == 2


def test_h17_local_submission_gets_copies_of_their_own(tmp_path: Path) -> None:
    with running(tmp_path, options=_OPTIONS) as site:
        subprocess.run(
            ["/usr/sbin/sendmail", "-C", str(site.postfix.config), "-i", "-f", "cron@sender.test",
             "one@b.sink.test"],
            input=html_mail().replace(b"\r\n", b"\n"), check=True, timeout=20,
        )  # fmt: skip
        people = ["one@b.sink.test", *ADDED[:2]]
        assert _owners(site, people) == {who: who for who in people}


def test_h17_a_content_filter_sees_final_links_and_what_comes_back_is_known(tmp_path: Path) -> None:
    """docs/postfix.md: the hop first, then the content filter, for each copy by itself."""
    port, back = free_port(), free_port()
    options = {**_OPTIONS, "content_filter": f"smtp:[127.0.0.1]:{port}"}
    service = f"127.0.0.1:{back} inet n - n - - smtpd -o content_filter= -o smtpd_milters="
    service += " -o receive_override_options=no_address_mappings\n"
    with running(tmp_path, options=options, services=service) as site, Sink(port) as content_filter:
        site.send(["one@b.sink.test"], html_mail())
        people = ["one@b.sink.test", *ADDED]
        until(lambda: len(content_filter.got) == len(people), what="each copy at the content filter")
        site.idle()
        assert sorted(each.recipients for each in content_filter.got) == sorted((who,) for who in people)
        for each in list(content_filter.got):
            (who,) = each.recipients
            assert site.owner(each.body) == who
            checked = each.message.replace(b"<p>", b"<p>Checked. ", 1)
            checked = checked.replace(b"<1@sender.test>", b"<2@amavis.test>")
            with smtplib.SMTP("127.0.0.1", back) as smtp:
                smtp.sendmail(each.sender, [who], checked)
            assert site.owner(site.sink.wait_for(who).body) == who
        # A listener that has the filter on, by mistake: the mail is known, whatever was changed.
        content_filter.got.clear()
        with smtplib.SMTP("127.0.0.1", site.ports["in"]) as smtp:
            smtp.sendmail("other@sender.test", ["one@b.sink.test"], checked)
        got = content_filter.wait_for("one@b.sink.test")
        assert got.body == checked.partition(b"\r\n\r\n")[2]
