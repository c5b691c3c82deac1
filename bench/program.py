"""Where benchmarks find the program; to be imported before it.

With SMTPAPI_NATIVE=off in the environment it does without its parts in C, as the program's own commands do.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "milter"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engagement import extensions

ROOT = Path(__file__).resolve().parents[1]

extensions.leave_out_if_off()
