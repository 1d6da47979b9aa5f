"""The ledger: one hash-chained event per act, and the revision that everything else follows."""
