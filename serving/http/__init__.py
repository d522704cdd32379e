"""The protocol over HTTP: inference as a raw ASGI callable, the rest as a FastAPI application behind it."""
