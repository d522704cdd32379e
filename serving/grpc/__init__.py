"""The protocol over gRPC, and grpc.health.v1 beside it."""
