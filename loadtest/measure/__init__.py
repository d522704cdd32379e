"""The phases of a load test, each on all contenders."""
