"""Replicas for a target rate, from exit shares and service curves; and how far off a prediction was. Pure."""
