"""Suites by which a trainer, a proposer or a machine proves that sweeps may trust it; pytest is needed only here."""
