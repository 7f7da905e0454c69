"""What the server and its workers say to each other, as typed messages in framed bytes."""
