"""Start the parts of the demonstration, check that they answer, and stop them."""

import ctypes
import http.client
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from demo.place import Place, Unable

SMTPAPI = Path(sys.executable).with_name("smtpapi")
_CASSANDRA_SERVER = Path(__file__).resolve().parents[1] / "tests" / "cassandra_node" / "cassandra-server"


class Program:
    """One of our programs, its log in RUN_DIR/log."""

    def __init__(self, name: str, place: Place, *arguments: str) -> None:
        self.name = name
        self.log = place.run / "log" / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(SMTPAPI), *arguments, "--config", str(place.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only us; we stop the parts in order
                preexec_fn=_die_with_parent,
            )

    def give_way(self) -> None:
        """Let the others have the processor first, as its unit does.

        A session is a group of its own, in which alone nice counts (sched(7), autogroup). Nice 7 is nearly
        CPUWeight=20.
        """
        with suppress(OSError):
            Path(f"/proc/{self.process.pid}/autogroup").write_text("7")

    def alive(self) -> bool:
        """Return whether it is running."""
        return self.process.poll() is None

    def stop(self, seconds: float = 20.0) -> None:
        """Terminate it and wait for its end. seconds: after these it is killed."""
        if self.alive():
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def tail(path: Path, count: int = 8) -> str:
    """Return the last lines of a log, indented; "" if there is none."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:])


def cassandra(place: Place, verb: str, *arguments: str) -> None:
    """Start or stop the one node in the folder. verb: "start" or "stop". Raises Unable where that fails."""
    log_file = place.run / "log" / "cassandra.log"
    with log_file.open("a+") as log:
        done = subprocess.run(
            [sys.executable, str(_CASSANDRA_SERVER), verb, "--dir", str(place.run / "cassandra"), *arguments],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, start_new_session=True,
        )  # fmt: skip
    if done.returncode != 0:
        raise Unable(f"Cassandra: `{verb}` failed; its log says:\n{tail(log_file)}")


def check_port(name: str, port: int) -> None:
    """Check that the port is free. Raises Unable if not. name: of the variable that chooses the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise Unable(f"port {port}: {error.strerror}; choose another with {name}=…") from error
        except OSError as error:
            raise Unable(
                f"port {port} is in use by another program (`ss -ltnp sport = :{port}` names it): "
                f"stop that, or choose another port with `make run {name}={port + 1}`"
            ) from error


def answers_unix(path: Path) -> bool:
    """Return whether a program listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def answers_http(port: int) -> bool:
    """Return whether a program answers HTTP requests on a port of loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
