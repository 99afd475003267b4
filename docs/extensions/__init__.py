"""Extensions of Sphinx that build the pages of theorems, figures, modules and packages."""
