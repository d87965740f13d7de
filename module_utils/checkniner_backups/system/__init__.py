"""The operating system: accounts, files that outlive nobody, pipes, HTTP, the watchdog, timestamps."""
