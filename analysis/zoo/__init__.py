"""Policy-optimisation methods of recent papers, each reduced to the finite object of its claim."""
