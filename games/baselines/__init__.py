"""Other ways to equilibrium: fictitious play and first-order methods."""
