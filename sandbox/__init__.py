"""Throwaway parts for the demo, the tests, the measurements and the drill: nothing of this reaches a server."""
