"""The proof: long and hostile runs against a server, each of which ends in a table of figures, bounds and verdicts."""
