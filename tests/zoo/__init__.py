"""Applications that others wrote, saved and brought back. One file each: `scripts/applications` runs them all."""
