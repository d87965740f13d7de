"""The operating system: accounts, files that outlive nobody, pipes, HTTP, timestamps."""
