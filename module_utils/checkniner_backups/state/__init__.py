"""The state folder: what a server remembers between ticks, and the lock that keeps runs apart."""
