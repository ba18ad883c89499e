"""The mutable state of one episode: tables, files, memory, databases, people, clock, schedule.

Synchronous, deterministic and closed: nothing here reads a wall clock, a socket, a host file or a global random
source. Knows nothing of tools, scenarios or agents.
"""
