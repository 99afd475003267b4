"""Games in normal form: equilibria, correlation, learning."""
