"""What etc/ tells people to paste into Postfix's configuration works in a Postfix."""

import re
import smtplib
from pathlib import Path

import pytest

from engagement.links.model import Kind
from mta.mta_site import Filter, free_port, open_folders, until
from private_mta.postfix import PrivatePostfix, Smtpd

pytestmark = pytest.mark.mta

_ETC = Path(__file__).parents[2] / "etc"
_MAIL = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"


def _options(text: str) -> dict[str, str]:
    """name = value lines of a main.cf, continued where a line begins with white space."""
    whole = re.sub(r"\n(?=\s+\S)", " ", re.sub(r"(?m)^#.*\n", "", text))
    pairs = (line.partition("=") for line in whole.splitlines() if line.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def test_mail_is_tracked_with_the_shipped_fragments_and_a_chrooted_smtpd(tmp_path: Path) -> None:
    open_folders(tmp_path)
    client_port, own = free_port(), free_port()
    postfix = PrivatePostfix(
        tmp_path / "p",
        [Smtpd(client_port)],
        maildir=tmp_path / "maildir",
        options=_options((_ETC / "postfix" / "main.cf.smtpapi").read_text()),
    )
    fragment = (_ETC / "postfix" / "master.cf.smtpapi").read_text().replace(":8650", f":{own}")
    postfix.more_services = "".join(line for line in fragment.splitlines(True) if not line.startswith("#"))
    socket_path = postfix.queue / "smtpapi" / "milter.sock"
    listener = f"""
ESMTP_Listener {{
  tracking_domain = "track.example.test" click_tracking_enabled = true
  Listen ":{client_port}" {{ }} Listen ":{own}" {{ }}
}}"""
    with postfix:
        postfix.milter_socket.parent.rename(socket_path.parent)  # the folder with the rights the page tells
        with Filter(tmp_path / "f", listener, socket_path=socket_path) as site:
            for number, port in enumerate((client_port, own), 1):
                with smtplib.SMTP("127.0.0.1", port) as smtp:
                    smtp.sendmail("a@sender.test", [f"u{port}@rcpt.test"], _MAIL)
                until(lambda: len(list(postfix.delivered())) == number, what="the delivery")  # noqa: B023 - called within this turn of the loop
            for file in postfix.delivered():
                assert [one.kind for one in site.links(file.read_bytes())] == [Kind.CLICK]
