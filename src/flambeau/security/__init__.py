"""Who may call what: tokens, the gate, certificates."""
