"""The check on a GPU: builds the engine against this machine's torch, tests and measures it, and leaves a report."""
