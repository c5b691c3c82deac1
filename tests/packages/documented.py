"""Commands of the pages, run as they are written on a booted machine after README's quick start. Not a test.

Each step prepares what its page takes for granted, runs a block, looks at what it did, and leaves the machine
as it was.
"""

import re
from collections.abc import Callable

from packages.machines import CERTBOT, Machine
from shell_blocks import script

# Names that pages use, and that lead nowhere on a machine without a network.
HOSTS = "127.0.0.1 mail.example.test hooks.example.com"
# All of it is root's here; and the doctor, who is asked here for the command's sake, may find something.
AS_ROOT = """
sudo() { "$@"; }
smtpapi() { command smtpapi "$@" || { status=$?; [ "$1" = doctor ] && [ $status -ne 2 ]; }; }
"""
RELOAD = "smtpapi check-config >/dev/null && systemctl reload smtpapi.target\n"
# Postfix's configuration, and what `smtpapi setup` knows of it.
SAVE = "rm -rf /root/saved && mkdir /root/saved && cp -a /etc/postfix /var/lib/smtpapi/setup /root/saved\n"
RESTORE = """rm -r /etc/postfix /var/lib/smtpapi/setup
cp -a /root/saved/postfix /etc/postfix
cp -a /root/saved/setup /var/lib/smtpapi/setup
postfix reload
"""


def run(machine: Machine, text: str) -> str:
    """Run a script; postconf(1) ends with 0 also where it only warns that it has changed nothing."""
    printed = machine.run(text)
    assert "postconf: warning" not in printed, printed
    return printed


def walk(machine: Machine, click: Callable[[], str]) -> None:
    """Run all of them, after `doctor`. click: follows a link of the first mail; returns what was answered."""
    _services(machine)
    _links(machine)
    _webhooks(machine, click)
    _setup(machine)
    machine.run(SAVE)
    _postfix(machine)
    machine.run(RESTORE)
    _amavis_and_rspamd(machine)
    machine.run(RESTORE)
    _services_of_their_own(machine)
    machine.run(RESTORE)
    _instances(machine)
    machine.run(RESTORE + "rm -r /root/saved")
    _api(machine)  # last: its search is of what is older than a minute


def doctor(machine: Machine) -> None:
    """docs/doctor.md, with a mail that goes through and is found again."""
    machine.run(f"hostname mail.example.test; echo '{HOSTS}' >>/etc/hosts; "
                "postconf -e 'myhostname = mail.example.test'; postfix reload")  # fmt: skip
    shown = run(machine, AS_ROOT + script("docs/doctor.md", "sudo smtpapi doctor"))
    assert "ok      milters" in shown
    assert '"findings": [' in shown
    assert re.search(r"^ok +probe", shown, re.MULTILINE), shown


def _services(machine: Machine) -> None:
    """docs/install.md, operate.md, tracker.md and postfix.md: services, their state, a reload."""
    run(machine, "cd /root\n" + script("docs/postfix.md", "apt-get install ./smtpapi"))  # it is there
    run(machine, "cd /root\n" + script("docs/install.md", "apt-get install ./smtpapi"))
    assert "smtpapi-milter.service" in run(machine, script("docs/install.md", "systemctl status"))
    _follower(machine)
    run(machine, script("docs/install.md", "systemctl enable --now smtpapi.target"))
    run(machine, script("docs/install.md", "install -m 0640 -g smtpapi-store"))
    owner = run(machine, "stat -c '%U %G %a' /etc/smtpapi/cassandra.password; rm /etc/smtpapi/*.password")
    assert owner == "root smtpapi-store 640\n"
    shown = run(machine, script("docs/operate.md", "smtpapi ship --status"))
    assert "shipper   active" in shown
    assert "smtpapi_milter_sessions_total" in shown
    run(machine, script("docs/postfix.md", "smtpapi check-config"))
    before = run(machine, "cat /var/lib/smtpapi/web/token").strip()
    assert f"token={before}" in run(machine, script("docs/tracker.md", "smtpapi web --url"))
    assert run(machine, "cat /var/lib/smtpapi/web/token; systemctl restart smtpapi-web").strip() != before


def _follower(machine: Machine) -> None:
    """It runs, and tells of deliveries from the journal, as there is no mail log without rsyslog."""
    run(machine, "echo 'follow { log = journal }' >/etc/smtpapi/conf.d/30-follow.conf; "
                 "systemctl restart smtpapi-follow")  # fmt: skip
    run(machine, "smtpapi send --server 127.0.0.1:25 --to you@example.com /usr/share/smtpapi/newsletter.eml")
    machine.until("smtpapi events --type delivery", lambda shown: "you@example.com" in shown)
    run(machine, "systemctl disable --quiet --now smtpapi-follow; rm /etc/smtpapi/conf.d/30-follow.conf")


def _api(machine: Machine) -> None:
    """docs/api.md: a key, a question by it, a mail handed in by it."""
    shown = run(machine, script("docs/api.md", "smtpapi apikey add dashboard"))
    assert re.search(r"^dashboard +smtpapi_", shown, re.MULTILINE), shown
    run(machine, "echo 'transmissions { enabled = true }' >/etc/smtpapi/conf.d/30-docs.conf\n" + RELOAD)
    key = run(machine, "smtpapi apikey add docs --scope events/view --scope transmissions/modify").strip()
    ask = f"KEY={key}\n" + script("docs/api.md", 'curl -H "Authorization: $KEY" \'http')
    machine.until(ask, lambda output: '"type":"click"' in output.replace(" ", ""), 90)
    run(machine, "postconf -e 'transport_maps = inline:{ { example.net = discard: } }' && postfix reload")
    send = f"KEY={key}\n" + script("docs/api.md", 'curl -H "Authorization: $KEY" -H')
    sent = machine.until(send, lambda output: '"results"' in output)
    assert '"total_accepted_recipients":1' in sent.replace(" ", "")
    machine.until("smtpapi events --json --recipient ida@example.net", lambda shown: '"letter"' in shown)
    run(machine, "postconf -# transport_maps; postfix reload; smtpapi apikey revoke docs; "
                 "rm /etc/smtpapi/conf.d/30-docs.conf\n" + RELOAD)  # fmt: skip


def _links(machine: Machine) -> None:
    """docs/links.md: stopped, pointed elsewhere, listed, allowed."""
    shown = run(machine, script("docs/links.md", "smtpapi links stop --campaign"))
    for what in (
        "stopped  campaign spring", "0123456789abcdef0123456789abcdef", "https://shop.example/right"
    ):  # fmt: skip
        assert what in shown
    assert "spring" not in run(machine, "smtpapi links list")


# A target of webhooks at the page's name, with a certificate of an authority that the machine trusts.
TARGET = f"""
cp /usr/local/share/ca-certificates/test.crt /root/authority.crt
{CERTBOT}
certbot --domain hooks.example.com
cat >/etc/nginx/conf.d/hooks.conf <<'END'
server {{
    listen 443 ssl;
    server_name hooks.example.com;
    ssl_certificate /etc/letsencrypt/live/hooks.example.com/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/hooks.example.com/privkey.pem;
    location / {{ return 200; }}
}}
END
nginx -s reload
cp /etc/smtpapi/conf.d/20-webhooks.conf /root
cat >/etc/smtpapi/conf.d/20-webhooks.conf <<'END'
webhooks {{ allow_targets = ("hooks.example.com") batch_time = 0 }}
END
systemctl restart smtpapi-webhooks
"""
TARGET_GOES = """
mv /root/20-webhooks.conf /etc/smtpapi/conf.d/20-webhooks.conf
mv /root/authority.crt /usr/local/share/ca-certificates/test.crt
update-ca-certificates >/dev/null 2>&1
rm /etc/nginx/conf.d/hooks.conf
nginx -s reload
"""


def _webhooks(machine: Machine, click: Callable[[], str]) -> None:
    """docs/webhooks.md: a webhook is made, tried, looked at, and sends again."""
    run(machine, TARGET)
    request = "curl -s -o /dev/null -w '%{http_code}' https://hooks.example.com/"
    machine.until(request, lambda output: output == "200")
    name = "$(smtpapi webhook list | awk '/hooks.example.com/ { print $1 }')"
    assert "succeeded: status 200" in run(machine, script("docs/webhooks.md", "smtpapi webhook add", ID=name))
    assert click().startswith("302 ")
    shown = machine.until(f"smtpapi webhook show {name} --batches", lambda shown: "delivered" in shown)
    batches = re.findall(r"^[0-9a-f-]{36}(?=  .*delivered)", shown, re.MULTILINE)
    again = script("docs/webhooks.md", "smtpapi webhook show", ID=name, BATCH=batches[0])
    assert run(machine, again).endswith("\n1 batch(es) will be sent again\n")
    run(machine, f"smtpapi webhook remove {name}\n{TARGET_GOES}")


def _setup(machine: Machine) -> None:
    """docs/setup.md, from a Postfix that knows of no filter to the same again."""
    run(machine, "smtpapi setup postfix --undo")
    state = "md5sum /etc/postfix/main.cf /etc/postfix/master.cf"
    before = run(machine, state)
    shown = run(machine, AS_ROOT + script("docs/setup.md", "smtpapi setup postfix"))
    assert "\n+smtpapi_milter = " in shown
    assert run(machine, state) == before
    run(machine, "smtpapi setup postfix --apply")
    run(machine, script("docs/install.md", "smtpapi setup postfix --undo"))
    assert run(machine, state) == before
    assert machine.tried("systemctl is-active smtpapi-milter")[0] != 0
    run(machine, "systemctl enable --quiet --now smtpapi-milter; smtpapi setup postfix --apply")


# What a client of Momentum's is answered.
SET_CONTEXT = """python3 -c "
import smtplib
client = smtplib.SMTP('127.0.0.1', 8650, timeout=30)
print(client.ehlo()[0], client.docmd('XSETCONTEXT smtpapi_campaign_id=spring')[0])"
"""


def _postfix(machine: Machine) -> None:
    """docs/postfix.md: mail of just the permitted size, Momentum's commands."""
    run(machine, script("docs/postfix.md", 'postconf -P "cleanup'))
    assert run(machine, "postconf -Ph cleanup/unix/message_size_limit") == "0\n"
    run(machine, "cp /usr/share/smtpapi/postfix/smtpapi_* /etc/postfix\n"
                 "cat /usr/share/smtpapi/postfix/master.cf.smtpapi >>/etc/postfix/master.cf")  # fmt: skip
    run(machine, script("docs/postfix.md", 'postconf -P "127.0.0.1:8650'))
    machine.until(SET_CONTEXT, lambda output: output == "250 250\n")


def _amavis_and_rspamd(machine: Machine) -> None:
    """docs/stacks/amavis.md and rspamd.md without either: what Postfix is told. Mail: test_stacks.py."""
    page = "docs/stacks/amavis.md"
    run(machine, script(page, "postconf -e 'content_filter"))
    run(machine, script(page, "smtpapi setup postfix --apply"))
    assert "smtpapi_milter" in run(machine, script("docs/stacks/rspamd.md", "smtpapi setup postfix"))
    given_back = "postconf -Ph 127.0.0.1:10025/inet/smtpd_milters"
    assert run(machine, given_back).strip() == ""
    run(machine, script(page, "echo 'rewriting"))
    assert "127.0.0.1:10026 " in run(machine, "postconf -M; rm /etc/smtpapi/conf.d/20-hop.conf")
    run(machine, RELOAD + script(page, "smtpapi setup postfix --apply\npostconf -e smtpd_milters="))
    assert run(machine, given_back).strip() == "$smtpapi_milter"


def _services_of_their_own(machine: Machine) -> None:
    """docs/stacks/services.md: the filter before the signer, and an empty list left empty."""
    run(machine, script("docs/stacks/services.md", "postconf -M 'submission/inet"))
    own = run(machine, "postconf -Ph submission/inet/smtpd_milters")
    assert own.index("$smtpapi_milter") < own.index("8899")
    assert run(machine, "postconf -Ph smtps/inet/smtpd_milters").strip() == ""


def _instances(machine: Machine) -> None:
    """docs/stacks/instances.md: an instance, its mount, its mail."""
    page = "docs/stacks/instances.md"
    run(machine, script(page, "postmulti -e init"))
    run(machine, script(page, "mkdir -p"))
    send = "smtpapi send --server 127.0.0.1:2526 --to you@example.com /usr/share/smtpapi/newsletter.eml"
    machine.until(send, lambda output: "queued" in output)
    run(machine, "postmulti -i postfix-out -p stop; smtpapi setup postfix --postfix /etc/postfix-out --undo; "
                 "postmulti -i postfix-out -e disable; umount /var/spool/postfix-out/smtpapi; "
                 "sed -i /postfix-out/d /etc/fstab; "
                 "rm -r /etc/postfix-out /var/spool/postfix-out")  # fmt: skip
