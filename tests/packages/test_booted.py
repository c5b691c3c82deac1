"""The package on a bare Debian with a real systemd: README's quick start, a reboot, an upgrade, removal.

One machine for all, since each step goes on where the one before ended.
"""

import itertools
import json
import re
import textwrap
import time
from pathlib import Path
from shutil import copy, copytree

import pytest

from packages import documented
from packages.machines import CERTBOT, CERTIFICATE, ROOT, SERVER, Machine, quick_start, vagrant_script
from packages.made import Made
from shell_blocks import script

DNS_SERVER = Path(__file__).parents[1] / "doctor/dns_server.py"
UNITS = [f"smtpapi-{name}.service" for name in ("tracker", "milter", "shipper", "web")]
RECORD = {"milter", "tracker", "follow", "shipper"}
USERS = ("milter", "tracker", "follow", "shipper", "web", "webhooks", "cluster")
STORE = {"shipper", "web", "webhooks", "cluster"}
# Each file of interest, and which of the users may read and which may write it.
RIGHTS = {
    "/etc/smtpapi/keys": ({"milter", "tracker"}, set()),
    "/etc/smtpapi/ring": ({"milter", "tracker", "cluster"}, {"cluster"}),
    "/var/lib/smtpapi/cluster": (set(USERS), {"cluster"}),
    "/etc/smtpapi/cassandra.password": (STORE, set()),
    "/var/lib/smtpapi/store/events.db": (STORE, {"shipper"}),
    "/var/lib/smtpapi/web/token": ({"web"}, {"web"}),
    "/var/spool/smtpapi": (RECORD, RECORD),
    "/var/spool/smtpapi/shipper.json": ({"shipper", "web"}, {"shipper"}),
    "/var/lib/smtpapi/registry/registry.db": (STORE, STORE),
    "/var/spool/smtpapi/MILTER": ({"milter", "shipper"}, {"milter"}),
    "/var/spool/postfix/smtpapi/milter.sock": ({"milter"}, {"milter"}),
    "/var/mail/root": (set(), set()),
}


def rights(machine: Machine) -> dict[str, tuple[set[str], set[str]]]:
    """Ask test(1), as each user in all of their groups."""
    script = "cp -p $(find /var/spool/smtpapi -name '*.open' -user smtpapi-milter -print -quit) "
    script += "/var/spool/smtpapi/MILTER\n"
    for user, path, right in itertools.product(USERS, RIGHTS, "rw"):
        script += (
            f"if setpriv --reuid smtpapi-{user} --regid smtpapi-{user} --init-groups test -{right} {path}; "
            f"then echo {right} {user} {path}; fi\n"
        )
    found: dict[str, tuple[set[str], set[str]]] = {path: (set(), set()) for path in RIGHTS}
    for line in machine.run(script + "rm /var/spool/smtpapi/MILTER").splitlines():
        right, user, path = line.split()
        found[path]["rw".index(right)].add(user)
    return found


def mail(machine: Machine) -> str:
    """Send the sample newsletter, and return what was delivered of it."""
    before = machine.tried("grep -c ^From: /var/mail/root")[1]
    machine.run("smtpapi send --server 127.0.0.1:25 --to you@example.com /usr/share/smtpapi/newsletter.eml")
    machine.until("grep -c ^From: /var/mail/root", lambda count: count != before)
    return machine.run("cat /var/mail/root").rpartition("\nFrom ")[2]


def links(delivered: str) -> list[str]:
    return re.findall(r"https://track\.example\.com/f/a/[\w/-]+", delivered.replace("=\n", ""))


def clicked(machine: Machine, link: str) -> str:
    return machine.run(
        f"curl -s --cacert {CERTIFICATE} -o /dev/null -w '%{{http_code}} %{{redirect_url}}' '{link}'"
    )


@pytest.mark.mta
@pytest.mark.timeout(1800)  # a minute or three on a machine of its own
def test_quick_start_reboot_upgrade_and_removal(made: Made, tmp_path: Path) -> None:
    with Machine(tmp_path / "machine") as machine:
        copy(made.package, machine.root / "root")
        copy(made.later, machine.root / "root" / "later.deb")
        machine.start()
        machine.run(SERVER)

        began = time.monotonic()
        machine.run(f"cd /root\n{CERTBOT}\n{quick_start()}")
        assert time.monotonic() - began < 600

        machine.until("cat /var/mail/root", lambda text: "X-Smtpapi-Id" in text)
        first = links(machine.run("cat /var/mail/root"))[0]
        assert clicked(machine, first).startswith("302 https://lighthouse.example/")
        machine.until("smtpapi events --type click", lambda events: "you@example.com" in events)
        check_doctor(machine)
        machine.run("install -m 0640 -g smtpapi-store /dev/null /etc/smtpapi/cassandra.password")
        assert rights(machine) == RIGHTS

        whole = '/usr/lib/smtpapi/current/bin/python "$(echo /usr/share/smtpapi/wheels/pip-*.whl)/pip" check'
        assert "No broken requirements found." in machine.run(whole)

        check_reload(machine)
        check_webhooks(machine, first)
        check_cluster(machine, first)
        documented.walk(machine, lambda: clicked(machine, first))

        machine.stop()
        machine.start()
        machine.run(f"systemctl is-active {' '.join(UNITS)}")
        assert clicked(machine, first).startswith("302 https://lighthouse.example/")
        second = links(mail(machine))[0]
        assert clicked(machine, second).startswith("302 https://lighthouse.example/")
        check_nothing_died(machine)
        check_priority_and_watchdog(machine, first)

        changed = "# changed by hand"
        machine.run(f"echo '{changed}' >>/etc/smtpapi/smtpapi.conf")
        for package in ("later.deb", made.package.name):  # up, and down again
            machine.run(f"apt-get install -y --allow-downgrades /root/{package}")
            machine.run(f"systemctl is-active {' '.join(UNITS)} smtpapi-webhooks.service")
            assert clicked(machine, first).startswith("302 https://lighthouse.example/")
            assert clicked(machine, links(mail(machine))[0]).startswith("302 https://lighthouse.example/")
        assert changed in machine.run("cat /etc/smtpapi/smtpapi.conf")
        assert machine.run("ls -d /usr/lib/smtpapi/env.*").count("\n") == 1

        check_removal(machine)
        check_without_a_package(machine, first)


# Names of the domain, which a machine without a network asks of itself.
NAMES = """
import time
from dns_server import DnsServer, zone
host = "track.example.com"
DnsServer.fixed_port = 53
with DnsServer(zone(host, (host, "A", "127.0.0.1"), (host, "AAAA", "::1"))):
    time.sleep(600)
"""


def check_doctor(machine: Machine) -> None:
    """After the quick start the doctor finds nothing to do; the clock is that of the host outside."""
    copy(DNS_SERVER, machine.root / "root")
    (machine.root / "root/names.py").write_text(NAMES)
    machine.run("echo nameserver 127.0.0.1 >/etc/resolv.conf")
    machine.run("systemd-run --unit=names /usr/lib/smtpapi/current/bin/python /root/names.py")
    machine.until("ss -lun", lambda listening: "127.0.0.1:53" in listening)
    findings = json.loads(machine.tried("smtpapi doctor --json")[1])["findings"]
    found = [one for one in findings if one["level"] in ("error", "warning") and one["check"] != "clock"]
    assert found == []
    assert {"dns", "certificate", "proxy", "milters", "processes"} <= {
        one["check"] for one in findings if one["level"] == "ok"
    }
    documented.doctor(machine)
    machine.run("systemctl stop names; rm /root/names.py /root/dns_server.py")


def check_reload(machine: Machine) -> None:
    """A reload of the target is over when all have read the configuration, the tracker before the filter."""
    since = machine.run("date +%s").strip()
    machine.run("systemctl reload smtpapi.target")
    output = machine.run(f"journalctl --no-pager -o cat --since @{since} _PID=1")
    steps = re.findall(
        r"^(Reload(?:ing|ed)) smtpapi-(tracker|milter|shipper|web)\.service", output, re.MULTILINE
    )
    assert {("Reloaded", "web"), ("Reloaded", "shipper")} <= set(steps)
    assert [step for step in steps if step[1] in ("tracker", "milter")] == [
        ("Reloading", "tracker"), ("Reloaded", "tracker"), ("Reloading", "milter"), ("Reloaded", "milter")
    ]  # fmt: skip


# A target of webhooks: it takes what is posted, and keeps it a line each.
HOOK = """
import http.server
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        open('/root/hook.log', 'ab').write(body + b'\\n')
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(('127.0.0.1', 9000), Hook).serve_forever()
"""


def check_webhooks(machine: Machine, link: str) -> None:
    """Its unit is started by hand once and then comes with the others; what is clicked is sent."""
    (machine.root / "root/hook.py").write_text(HOOK)
    machine.run("systemd-run --quiet --unit hook python3 /root/hook.py")
    options = 'webhooks { allow_targets = ("127.0.0.1:9000") batch_time = 0 }'
    machine.run(f"echo '{options}' >/etc/smtpapi/conf.d/20-webhooks.conf")
    add = "smtpapi webhook add shop http://127.0.0.1:9000/ --events click"
    machine.until(f"{add} && echo added", lambda text: "added" in text)
    machine.run("systemctl enable --quiet --now smtpapi-webhooks")
    assert clicked(machine, link).startswith("302 ")
    machine.until("cat /root/hook.log", lambda text: '"type":"click"' in text.replace(" ", ""))
    assert "Type=notify" in machine.run("systemctl show -p Type smtpapi-webhooks")


def check_cluster(machine: Machine, link: str) -> None:
    """A cluster of one, by the words of docs/cluster.md: its user writes what it shares, others read it.

    With the registry in its file, which the unit may not write to, as in a cluster it is in Cassandra.
    """
    page = (ROOT / "docs/cluster.md").read_text("utf-8")
    (configuration,) = re.findall(r"(?s)```ecelerity\n(.*?)```", page)
    begin = script("docs/cluster.md", "install -m 0640 -o smtpapi-cluster")
    join = script("docs/cluster.md", "install -m 0664 -o smtpapi-shipper")  # what the other hosts do
    (machine.root / "etc/smtpapi/conf.d/20-cluster.conf").write_text(configuration)
    folder = "/run/systemd/system/smtpapi-cluster.service.d"
    machine.run(f"mkdir -p {folder}; "
                f"printf '[Service]\\nReadWritePaths=/var/lib/smtpapi/registry\\n' >{folder}/file.conf; "
                "systemctl daemon-reload")  # fmt: skip
    machine.run(begin)
    assert "mail.example.test" in machine.until(join, lambda shown: "mail.example.test" in shown)
    machine.until("smtpapi cluster status", lambda shown: "signs  here" in shown)
    machine.run("smtpapi keys rotate --config /etc/smtpapi/smtpapi.conf")
    machine.run("echo ole@example.org >>/var/lib/smtpapi/objections/list; "
                "smtpapi links stop --campaign elsewhere")  # fmt: skip
    assert clicked(machine, link).startswith("302 https://lighthouse.example/")
    assert clicked(machine, links(mail(machine))[0]).startswith("302 https://lighthouse.example/")
    status = "smtpapi cluster status --json"
    shown_status = machine.until(status, lambda shown: len(json.loads(shown)["keys"]) == 2)
    assert json.loads(shown_status)["trouble"] == {}
    owner = machine.run("stat -c '%U %G %a' /etc/smtpapi/ring/keys /var/lib/smtpapi/cluster/state.json")
    assert owner == "smtpapi-cluster smtpapi-keys 640\nsmtpapi-cluster smtpapi 600\n"
    machine.run("systemctl is-active smtpapi-cluster")


def check_nothing_died(machine: Machine) -> None:
    shown = machine.run(f"systemctl show -p Id,NRestarts,Type,WatchdogUSec {' '.join(UNITS)}")
    assert shown.count("NRestarts=0") == shown.count("Type=notify") == len(UNITS)
    assert "WatchdogUSec=0" not in shown


def check_priority_and_watchdog(machine: Machine, link: str) -> None:
    """Workers of the tracker go first in their unit (docs/decisions/0041); those that hang start anew.

    Where this systemd may not raise the limit (no CAP_SYS_RESOURCE): by the block of docs/performance.md.
    """
    assert machine.run("systemctl show -p LimitRTPRIO --value smtpapi-tracker") == "1\n"
    parent = "$(systemctl show -p MainPID --value smtpapi-tracker)"
    limit = machine.run(f"grep 'realtime priority' /proc/{parent}/limits").split()[-1]
    page = (ROOT / "docs/performance.md").read_text("utf-8")
    (block,) = re.findall(r"(?s)```text\n(\[Service\]\nCPUScheduling.*?)```", page)
    service = "[Service]\n" if limit == "1" else block
    folder = "/run/systemd/system/smtpapi-tracker.service.d"
    machine.run(f"mkdir -p {folder}; printf '{service}WatchdogSec=3s\n' >{folder}/watchdog.conf")
    machine.run("systemctl daemon-reload; systemctl restart smtpapi-tracker")
    end = time.monotonic() + 60  # a worker that just began needs more than its share
    while True:
        assert clicked(machine, link).startswith("302 https://lighthouse.example/")
        policies = machine.run(f"for each in $(pgrep -P {parent}); do chrt -a -p $each; done | grep policy")
        if "SCHED_RR" in policies or time.monotonic() > end:
            break
    assert "SCHED_RR" in policies
    exposure = machine.run("systemd-analyze security smtpapi-tracker | tail -n 1")
    assert float(re.findall(r": ([0-9.]+) ", exposure)[0]) <= 2.0
    machine.run(f"pkill -STOP -P {parent}")
    machine.until("systemctl show -p NRestarts --value smtpapi-tracker", lambda count: count != "0\n")
    machine.run(f"rm -r {folder}; systemctl daemon-reload; systemctl restart smtpapi-tracker")


def check_removal(machine: Machine) -> None:
    """Mail flows, and what links need is kept. A copy of the programs stays for the step behind it."""
    machine.run("cp -a $(realpath /usr/lib/smtpapi/current) /root/environment")
    machine.run("apt-get remove -y smtpapi")
    assert "X-MSYS-API" in after(machine, "/root/newsletter.eml"), "mail flows, and nobody touches it"
    remaining = machine.run("ls /etc/smtpapi/keys /etc/smtpapi/smtpapi.conf /var/lib/smtpapi/store/events.db")
    assert remaining.count("\n") == 3
    machine.run("apt-get purge -y smtpapi")
    left = machine.run("find / -xdev -path '*smtpapi*' -not -path '/proc/*' -not -path '/root/*' "
                       "-not -path '/var/log/*' | sort")  # fmt: skip
    assert [line for line in left.splitlines() if "nginx" not in line] == [
        "/etc/smtpapi",
        "/etc/smtpapi/keys",
        "/etc/smtpapi/ring",
        "/etc/smtpapi/ring/keys",
    ]


def check_without_a_package(machine: Machine, link: str) -> None:
    """The commands of docs/install.md for a host without the package; it was purged, and left the ring."""
    for folder in ("packaging", "etc"):
        copytree(ROOT / folder, machine.root / "root/project" / folder)
    machine.run("cd /root/environment/bin && sed -i '1s|.*|#!/opt/smtpapi/bin/python|' smtpapi && "
                "ln -sf /bin/true pip; mv /etc/smtpapi/keys /root")  # fmt: skip
    venv = "python3() { mv /root/environment /opt/smtpapi; }\n"
    machine.run(f"cd /root/project\n{venv}" + script("docs/install.md", "apt-get install libmilter-dev"))
    machine.run("cat /root/keys >/etc/smtpapi/keys\n"
                "sed -i 's/= false/= true/' /etc/smtpapi/conf.d/10-tracking.conf\n"
                "systemctl reload smtpapi.target; smtpapi setup postfix --apply")  # fmt: skip
    machine.run(f"systemctl is-active {' '.join(UNITS)}")
    assert clicked(machine, link).startswith("302 https://lighthouse.example/")
    (machine.root / "usr/share/smtpapi").mkdir()
    copy(ROOT / "demo/newsletter.eml", machine.root / "usr/share/smtpapi")
    assert clicked(machine, links(mail(machine))[0]).startswith("302 https://lighthouse.example/")


def after(machine: Machine, path: str) -> str:
    """Send a message of the machine's own by the MTA alone, and return what was delivered."""
    machine.run(f"printf 'Subject: later\\nX-MSYS-API: {{}}\\n\\nhttps://example.com/\\n' >{path}")
    machine.run(f"sendmail -f news@example.com you@example.com <{path}")
    machine.until("cat /var/mail/root", lambda text: "Subject: later" in text)
    return machine.run("cat /var/mail/root").rpartition("\nFrom ")[2]


@pytest.mark.mta
@pytest.mark.timeout(600)
def test_vagrantfile_makes_a_machine_that_tracks(made: Made, tmp_path: Path) -> None:
    """All steps but the first, which makes the package and needs a network."""
    with Machine(tmp_path / "machine") as machine:
        (machine.root / "srv/smtpapi/dist").mkdir(parents=True)
        copy(made.package, machine.root / "srv/smtpapi/dist")
        machine.start()
        machine.run(textwrap.dedent(vagrant_script("install")))
        machine.run(textwrap.dedent(vagrant_script("page")))
        machine.run("smtpapi send --server 127.0.0.1:25 --to a@example.net /usr/share/smtpapi/newsletter.eml")
        found = machine.until("cat /var/mail/root", lambda text: "X-Smtpapi-Id" in text)
        (link, *_) = re.findall(r"http://localhost:8081(/f/a/[\w/-]+)", found.replace("=\n", ""))
        answered = machine.run(f"curl -s -o /dev/null -w '%{{redirect_url}}' http://localhost{link}")
        assert answered.startswith("https://lighthouse.example/")
        page = machine.run("curl -s -o /dev/null -w '%{http_code}' http://localhost:18090/")
        assert page in ("401", "403"), "the page, through the relay, wants its token"
