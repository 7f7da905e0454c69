"""The default handlers; torch is imported only here."""
