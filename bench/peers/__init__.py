"""Other ways to do what this project does, beside it: speed, and what becomes of mail and links.

`python -m bench.peers` says how it is used. What others wrote is installed by `make peers`, or named by the
operator; nothing of it is part of the project.
"""
