"""How the links' application is served: processes, reloads, the server's own faults."""
