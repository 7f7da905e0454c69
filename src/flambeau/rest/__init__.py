"""The HTTP face: translates requests to operations of the control plane and back."""
