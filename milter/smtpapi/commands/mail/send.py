"""`smtpapi send`: send a message file to an SMTP server, octet for octet."""

import re
import smtplib
import sys
from typing import IO

import click

from smtpapi.commands.options import say


@click.command("send")
@click.option(
    "--to", "recipients", multiple=True, required=True, metavar="ADDRESS", help="Recipient; repeatable."
)
@click.option("--from", "sender", default="sender@example.test", show_default=True, help="Envelope sender.")
@click.option("--server", default="127.0.0.1:2525", show_default=True, metavar="HOST[:PORT]")
@click.argument("file", type=click.File("rb"))
def command(recipients: tuple[str, ...], sender: str, server: str, file: IO[bytes]) -> None:
    """Send the message in FILE (- for standard input) to an SMTP server and print the server's answer.

    Only line ends are made what SMTP wants. Nothing is added: no Date, no Message-ID. Exit status 1: the
    server did not take it, or none answers.
    """
    host, port = _address(server)
    message = re.sub(rb"\r\n|\n", b"\r\n", file.read())
    message = re.sub(rb"\AFrom [^\r]*\r\n", b"", message)  # an mbox line is no header field
    try:
        code, answer = _send(host, port, sender, recipients, message)
    except (OSError, smtplib.SMTPException) as error:
        raise click.ClickException(f"{server}: {_error_text(error)}") from error
    say(f"{code} {answer}")
    sys.exit(0 if code < 400 else 1)


def _address(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):  # a bare name, or a bare IPv6 address
        return server, 25
    if not port.isdigit():
        raise click.BadParameter(f"{server}: expected HOST or HOST:PORT", param_hint="--server")
    return host.strip("[]"), int(port)


def _send(host: str, port: int, sender: str, recipients: tuple[str, ...], message: bytes) -> tuple[int, str]:
    """Return the server's last answer: to the message, or to the command that it refused."""
    with smtplib.SMTP(host, port, timeout=60) as smtp:
        smtp.ehlo_or_helo_if_needed()
        options = ["BODY=8BITMIME"] if smtp.has_extn("8bitmime") else []
        if not "".join((sender, *recipients)).isascii() and smtp.has_extn("smtputf8"):
            options.append("SMTPUTF8")
            smtp.command_encoding = "utf-8"
        answer = smtp.mail(sender, options)
        for recipient in recipients:
            if answer[0] < 400:
                answer = smtp.rcpt(recipient)
        if answer[0] < 400:
            answer = smtp.data(message)
    code, text = answer
    return code, text.decode("utf-8", "replace").replace("\n", " ")


def _error_text(error: OSError | smtplib.SMTPException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody answers there; is the server running (make run), and the port right?"
    return str(error)
