"""Mail and clicks without a pause, inside a machine: `load.py CERTIFICATE LINK…`, until its input ends.

It prints one JSON object: the statuses that clicks got, how often a mail had to be sent again, and how many
were accepted. A click is asked once, as a reader's browser does; mail is sent again as an MTA does.
"""

import collections
import http.client
import json
import smtplib
import ssl
import sys
import threading
import time

_HOST = "track.example.com"
_MAIL = b'Subject: load\r\nContent-Type: text/html\r\n\r\n<a href="https://example.com/%d">x</a>\r\n'


def click(certificate: str, links: list[str], stop: threading.Event, statuses: collections.Counter) -> None:
    """Ask for each link in turn, a connection each."""
    context = ssl.create_default_context(cafile=certificate)
    at = 0
    while not stop.is_set():
        connection = http.client.HTTPSConnection(_HOST, timeout=30, context=context)
        try:
            connection.request("GET", links[at % len(links)])
            statuses[str(connection.getresponse().status)] += 1
        except OSError as error:
            statuses[type(error).__name__] += 1
        connection.close()
        at += 1
        time.sleep(0.02)


def send(stop: threading.Event, mail: collections.Counter) -> None:
    """Send mail; what is answered 4xx is sent again until it is taken."""
    number = 0
    while not stop.is_set() or number == 0:
        number += 1
        while True:
            try:
                with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
                    client.sendmail("news@example.com", ["you@example.com"], _MAIL % number)
                mail["accepted"] += 1
                break
            except smtplib.SMTPResponseException as error:
                mail[f"again after {error.smtp_code}"] += 1
                if error.smtp_code >= 500:
                    break
            except smtplib.SMTPRecipientsRefused:
                mail["refused"] += 1
                break
            time.sleep(0.2)
        time.sleep(0.05)


def main(certificate: str, links: list[str]) -> None:
    """Run until standard input ends, and print what was counted."""
    stop = threading.Event()
    clicks: collections.Counter = collections.Counter()
    mail: collections.Counter = collections.Counter()
    threads = [threading.Thread(target=click, args=(certificate, links, stop, clicks)) for _ in range(4)]
    threads += [threading.Thread(target=send, args=(stop, mail))]
    for thread in threads:
        thread.start()
    print("running", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"clicks": clicks, "mail": mail}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
