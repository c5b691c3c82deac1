"""The filter's processes: the parent, its workers, their socket."""
