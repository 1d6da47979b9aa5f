"""Django glue without business words: who acts, what time it is, how rows are kept."""
