"""The same cascade in Exitgate and in servers that people would use in its place."""
