"""Benchmarks: what a request costs under Tricorn and under its peers, measured side by side."""
