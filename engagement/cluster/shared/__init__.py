"""The local files that hosts of a cluster share, each as named values: read, and written."""
