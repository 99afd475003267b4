"""Games of other programs: Gambit's files and OpenSpiel."""
