"""One traced network for all cells of NAS-Bench-201; not used by searches yet."""
