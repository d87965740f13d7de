"""What the software promises, held to it."""
