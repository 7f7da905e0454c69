"""Tensors as the Open Inference Protocol spells them: datatypes, bytes, JSON documents."""
