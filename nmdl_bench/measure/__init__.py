"""Clocks, memory, threads, worker processes, interleaving, provenance and statistics of measurements."""
