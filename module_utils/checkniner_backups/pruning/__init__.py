"""Which archives leave the store, and how: run by the operator alone, on the control machine."""
