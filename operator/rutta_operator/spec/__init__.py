"""What users write, and what is wrong with it: the three kinds, their rules, documents with line numbers."""
