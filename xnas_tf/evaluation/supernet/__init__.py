"""What is traced once for many candidates: all cells of NAS-Bench-201, or one structure."""
