"""The Django application: its environment, its own interpreter, and the worker that runs inside it."""
