"""What pages and API read: the events' store and the registry, opened once in each process or thread."""

import os
import threading
from typing import Final

from engagement.classify.followed import FollowedRules
from engagement.classify.rule_set import RuleSet
from engagement.registry import open_registry
from engagement.registry.port import Registry
from engagement.settings import Settings
from engagement.stores import open_store
from engagement.stores.port import EventStore
from tracker_web.web import log

EXTENSION: Final = "smtpapi_sources"  # where an application keeps its own (Flask.extensions)


class Sources:
    """Opens what the settings name when it is first asked for; safe to share between threads.

    Of a file each thread has a connection of its own, since one connection answers one question at a time. A
    cluster's driver serves all threads, and takes half a second to connect. After a fork all are opened anew.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._process = 0
        self._store: EventStore | None = None
        self._registry: Registry | None = None
        self._rules = FollowedRules(settings.classify, log.notice)

    def store(self) -> EventStore:
        """Return the events' store, read-only. Raises StoreError, NotInstalledError."""
        if self.settings.store.engine != "cassandra":
            if getattr(self._mine, "process", 0) != os.getpid():
                self._mine.store, self._mine.process = open_store(self.settings), os.getpid()
            store: EventStore = self._mine.store
            return store
        with self._lock:
            self._forget_the_parents()
            if self._store is None:
                self._store = open_store(self.settings)
            return self._store

    def rules(self) -> RuleSet:
        """Return the rules in force, as their files have them now."""
        with self._lock:
            return self._rules.current()

    def registry(self) -> Registry:
        """Return the registry. Raises RegistryError, NotInstalledError."""
        with self._lock:
            self._forget_the_parents()
            if self._registry is None:
                self._registry = open_registry(self.settings)
            return self._registry

    def _forget_the_parents(self) -> None:
        if self._process != os.getpid():
            self._store = self._registry = None
            self._process = os.getpid()
