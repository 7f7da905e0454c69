"""HTTP/1.1 itself; knows no model and no endpoint."""
