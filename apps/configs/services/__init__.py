"""Writing: each function is one act, one transaction, one entry in the ledger."""
