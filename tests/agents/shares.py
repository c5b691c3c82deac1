"""Which share of robots' agents is called a person, and of people's a machine: printed, and asked by a test.

Run it from the top of the repository: `python tests/agents/shares.py`.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

PEOPLE = Path(__file__).parent / "people"
PROGRAM = (sys.executable, "-c", "from smtpapi.commands import main; main()")
MACHINES = {"prefetch", "scanner", "probe"}


def people() -> list[str]:
    """Agents of mail programs and browsers."""
    return [line for path in sorted(PEOPLE.glob("*.txt")) for line in path.read_text("utf-8").splitlines()]


def robots() -> list[str]:
    """The samples of the list of robots that is installed."""
    return [agent for entry in CRAWLER_USER_AGENTS_DATA for agent in entry.get("instances", ())]


def classes(agents: list[str], kind: str) -> "Counter[str]":
    """Ask the command what each agent is."""
    command = [*PROGRAM, "classify", "--agents", "-", "--kind", kind]
    request = subprocess.run(
        command, input="".join(f"{agent}\n" for agent in agents), capture_output=True, text=True, check=True
    )
    lines = [line.split("\t") for line in request.stdout.splitlines()]
    if len(lines) != len(agents):
        raise ValueError(f"{len(agents)} agents, {len(lines)} lines")
    return Counter(line[1] for line in lines)


def shares(kind: str) -> tuple[float, float]:
    """Return the share of robots called human, and of people called a machine."""
    of_robots, of_people = classes(robots(), kind), classes(people(), kind)
    machines = sum(count for client, count in of_people.items() if client in MACHINES)
    return of_robots["human"] / of_robots.total(), machines / of_people.total()


if __name__ == "__main__":
    for kind in ("open", "click"):
        of_robots, of_people = shares(kind)
        print(
            f"{kind:<6} of {len(robots())} robots called a person: {of_robots:.2%}   "
            f"of {len(people())} programs of people called a machine: {of_people:.2%}"
        )
