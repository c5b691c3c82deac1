"""Make a package from the wheels of one, and print its file: PACKAGE FOLDER [SYSTEM [VERSION]]."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "packaging"))

import make_packages  # noqa: E402 - the folder is no package
from targets import TARGETS  # noqa: E402 - as above


def main(package: Path, folder: Path, system: str = "debian12", version: str = "0.1.1") -> None:
    unpacked = folder / "unpacked"
    subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
    wheels = sorted((unpacked / "usr/share/smtpapi/wheels").glob("*.whl"))
    (target,) = (each for each in TARGETS if each.name == system)
    print(make_packages.make(target, wheels, make_packages.epoch(), folder, version))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
