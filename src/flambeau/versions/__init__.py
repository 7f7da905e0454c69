"""The values of one version of a model: their table, and how each form spells them."""
