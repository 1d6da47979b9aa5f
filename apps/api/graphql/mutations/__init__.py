"""What can be changed. One module for each group of nouns; each mutation is one act."""
