"""Counterfactual regret minimisation: the family, its variants, and sampling."""
