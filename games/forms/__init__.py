"""What a game is here: trees, sequence forms, factored forms, and ways between them."""
