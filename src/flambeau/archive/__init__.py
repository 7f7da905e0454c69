"""Files at rest: model archives, workflow archives, the model store."""
