"""Optimistic actor-critics and their rivals, with the exact regret of every policy played."""
