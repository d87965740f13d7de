"""The emergency card: what to have at hand, and what to do, on one page to print."""
