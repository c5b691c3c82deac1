"""The image of etc/oci, built and started by buildah without a daemon, with mail and a click through it."""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mta.mta_site import free_port, until
from mta.site_parts import hand_in, html_mail, need_postfix
from packages.machines import BASE, ROOT
from packages.made import Made
from private_mta.postfix import PrivatePostfix, Smtpd

OCI = ROOT / "etc/oci"
KERNELS = ("dev", "proc", "sys")  # folders whose files are the kernel's: a copy of dev/full would never end
SERVICES = {"milter": "milter", "tracker": "tracker", "shipper": "ship", "web": "web", "webhooks": "webhooks"}


def test_the_description_is_as_the_linter_wants_it() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, OCI / "Containerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_compose_has_a_service_for_each_program() -> None:
    """Each runs as the user that its unit has."""
    text = (OCI / "compose.yaml").read_text("utf-8")
    found = re.findall(r"(?m)^  (\w+):\n    <<: \*program\n    user: (\S+)\n    command: \[(\w+)\]$", text)
    assert {name: (user, command) for name, user, command in found} == {
        name: (f"smtpapi-{name}", command) for name, command in SERVICES.items()
    }


def kernels(folder: str, names: list[str]) -> set[str]:
    """Return which names of a folder shutil.copytree leaves out."""
    return set(names) & set(KERNELS) if Path(folder) == BASE else set()


class Image:
    """buildah with a store of its own, and what stands for a site's volumes."""

    def __init__(self, folder: Path) -> None:
        self._store = ["--storage-driver", "overlay", "--root", str(folder / "store"),
                       "--runroot", str(folder / "run")]  # fmt: skip
        self.volumes = folder / "volumes"

    def buildah(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            ["buildah", *self._store, *arguments], capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"buildah {arguments}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def build(self, package: Path) -> None:
        """Build it upon the bare Debian, as no registry of images is at hand."""
        bare = self.buildah("from", "scratch")
        root = Path(self.buildah("mount", bare))
        shutil.copytree(BASE, root, symlinks=True, dirs_exist_ok=True, ignore=kernels)
        for name in KERNELS:
            (root / name).mkdir(exist_ok=True)
        self.buildah("umount", bare)
        self.buildah("commit", "-q", "--rm", bare, "localhost/debian:12")
        context = self.volumes.parent / "context"
        (context / "dist").mkdir(parents=True)
        (context / "etc").mkdir()
        shutil.copy(package, context / "dist")
        shutil.copytree(OCI, context / "etc/oci")
        self.buildah(
            "build", "--isolation", "chroot", "--layers=false", "--build-arg", "BASE=localhost/debian:12",
            "--tag", "localhost/smtpapi", "--file", context / "etc/oci/Containerfile", context,
        )  # fmt: skip

    def make_volumes(self) -> None:
        """Do what docker and podman do with new volumes: what the image has there is put into them."""
        root = Path(self.buildah("mount", self.buildah("from", "localhost/smtpapi")))
        assert list((root / "etc/smtpapi/ring").iterdir()) == [], "no key is in an image"
        assert not (root / "etc/smtpapi/keys").exists()
        self.volumes.mkdir()
        for name, path in (("ring", "etc/smtpapi/ring"), ("spool", "var/spool/smtpapi"),
                           ("data", "var/lib/smtpapi")):  # fmt: skip
            subprocess.run(["cp", "-a", root / path, self.volumes / name], check=True)

    def command(self, user: str, *arguments: str) -> list[str]:
        """Return what runs a program in a container of its own."""
        container = self.buildah("from", "localhost/smtpapi")
        mounts = [f"{self.volumes}/site.conf:/etc/smtpapi/conf.d/50-site.conf:ro"]
        mounts += [f"{self.volumes}/{name}" for name in (
            "ring:/etc/smtpapi/ring", "spool:/var/spool/smtpapi", "data:/var/lib/smtpapi")]  # fmt: skip
        options = [word for mount in mounts for word in ("--volume", mount)]
        return ["buildah", *self._store, "run", "--isolation", "chroot", "--user", user, *options, container,
                "--", *arguments]  # fmt: skip

    @contextmanager
    def running(self) -> Iterator[list["subprocess.Popen[bytes]"]]:
        """Run each service, and yield their processes."""
        processes = []
        try:
            for name, command in SERVICES.items():
                arguments = self.command(f"smtpapi-{name}", "/usr/bin/smtpapi", command)
                with (self.volumes / f"{name}.log").open("wb") as log:
                    processes.append(
                        subprocess.Popen(
                            arguments, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                        )
                    )
            yield processes
        finally:
            for each in processes:
                os.killpg(each.pid, signal.SIGTERM)
            for each in processes:
                each.wait(60)


def status_of(port: int) -> int:
    """Ask for the first page; 0 where nobody answers yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


@pytest.mark.long
@pytest.mark.mta
@pytest.mark.timeout(1500)
def test_the_image_is_built_started_and_tracks(made: Made, tmp_path: Path) -> None:
    assert shutil.which("buildah"), "apt-get install buildah"
    need_postfix()
    image = Image(tmp_path)
    image.build(made.package)
    image.make_volumes()
    ports = {name: free_port() for name in ("milter", "tracker", "web", "smtp")}
    (image.volumes / "site.conf").write_text(
        f'milter {{ socket = "inet:{ports["milter"]}@127.0.0.1" }}\n'
        f'tracker {{ listen = "127.0.0.1:{ports["tracker"]}" }}\n'
        f'web {{ listen = "127.0.0.1:{ports["web"]}" }}\n'
        'ESMTP_Listener { tracking_domain = "track.example.test" click_tracking_enabled = true '
        "open_tracking_enabled = true }\n"
    )
    ring = (
        re.search(r"- (test -e .*)\n", (OCI / "compose.yaml").read_text("utf-8"))
        or pytest.fail("compose.yaml makes no ring")
    )[1]
    for _ in range(2):  # the second time it leaves the ring alone
        subprocess.run(image.command("root", "/bin/sh", "-c", ring), check=True, timeout=120)
    milter = f"inet:127.0.0.1:{ports['milter']}"
    site = PrivatePostfix(tmp_path / "postfix", [Smtpd(ports["smtp"])], maildir=tmp_path / "maildir",
                          options={"smtpd_milters": milter})  # fmt: skip
    with image.running() as services, site:

        def ready(name: str, word: str) -> bool:
            return word in (image.volumes / f"{name}.log").read_text("utf-8", "replace")

        until(lambda: ready("milter", "ready:") and ready("tracker", "start:"), 60, "filter and tracker")
        hand_in(ports["smtp"], "a@sender.test", ["one@rcpt.test"], html_mail())
        until(lambda: list(site.delivered()), 30, "the mail")
        (path,) = site.delivered()
        message = path.read_text("utf-8", "replace").replace("=\n", "")
        found = re.search(r"https://track\.example\.test(/f/a/[\w/-]+)", message)
        assert found is not None, message
        connection = http.client.HTTPConnection("127.0.0.1", ports["tracker"], timeout=30)
        connection.request("GET", found[1], headers={"Host": "track.example.test"})
        assert connection.getresponse().status == 302
        connection.close()
        ask = image.command("smtpapi-web", "/usr/bin/smtpapi", "events", "--type", "click")

        def events() -> str:
            return subprocess.run(ask, capture_output=True, text=True, check=False, timeout=120).stdout

        until(lambda: "one@rcpt.test" in events(), 60, "the event in the store")
        until(lambda: status_of(ports["web"]) in (401, 403), 60, "the pages, which want their token")
        until(lambda: ready("webhooks", "sending"), 30, "webhooks")
        assert [each.poll() for each in services] == [None] * len(SERVICES)
        print("events:", events())
