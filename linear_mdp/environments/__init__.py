"""Environments of the distributionally robust linear-MDP papers, and random ones."""
