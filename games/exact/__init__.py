"""Exact and certified answers: fractions, enclosures, linear programs, plans."""
