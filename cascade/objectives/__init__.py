"""What policies are fitted for."""
