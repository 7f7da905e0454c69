"""The gRPC face: services, health, reflection. Imported only when the server opens its gRPC ports."""
