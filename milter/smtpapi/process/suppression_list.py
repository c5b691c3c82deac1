"""The suppression list of one worker process: its copy on disk, followed, and who is refused at RCPT.

What is decided is in `smtpapi.pipeline.suppression`.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from engagement.events.ids import EventIds
from engagement.settings import Settings
from engagement.settings.schema import SuppressionAction
from engagement.suppression.snapshot import Table
from engagement.suppression.snapshot_file import SnapshotFile
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Refuse
from smtpapi.pipeline.site import Site
from smtpapi.pipeline.suppression import Record, at_rcpt
from smtpapi.telemetry import maillog


class SuppressionList:
    """The list as this process has it. Made after the fork, since it has a thread.

    refuses_at_rcpt: whether any scope does. current: returns the table in force; None where no scope asks it.
    """

    def __init__(self, settings: Settings) -> None:
        actions = settings.suppression_actions()
        self.refuses_at_rcpt = SuppressionAction.REFUSE_AT_RCPT in actions
        enabled = actions != {SuppressionAction.OFF}
        self._file = SnapshotFile(Path(settings.suppression.snapshot), maillog.notice) if enabled else None
        self._ids = EventIds(os.urandom(8))
        self.current: Callable[[], Table] | None = self._file.current if self._file else None

    def start(self) -> None:
        """Follow the file, in a thread."""
        if self._file is not None:
            self._file.start()

    def close(self) -> None:
        """Follow the file no more."""
        if self._file is not None:
            self._file.close()

    def refused(
        self,
        site: Site,
        client: Client,
        sender: str,
        recipient: str,
        queue_id: str,
        context: Mapping[str, str],
    ) -> tuple[Refuse, tuple[Record, ...]] | None:
        """Return the reply that refuses a recipient at RCPT, with its events, and log it; None for none."""
        now = time.time()
        answer = at_rcpt(
            site,
            client,
            sender,
            recipient,
            queue_id=queue_id,
            session=context,
            event_id=self._ids.next(int(now * 1000)),
            now=now,
        )
        if answer is not None:
            maillog.refused_at_rcpt(Envelope(client, sender, (recipient,), queue_id), answer[0])
        return answer
