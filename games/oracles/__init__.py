"""Response oracles: PSRO, double oracle, and the meta-solvers that mix populations."""
