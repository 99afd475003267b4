"""Finite games: exact solvers, the CFR and PSRO families, exact exploitability."""
