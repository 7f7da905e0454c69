"""Workers as the server sees them: launched, fed, watched, stopped."""
