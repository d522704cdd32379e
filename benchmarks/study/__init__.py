"""The two papers judged end to end on CIFAR-10: `python -m benchmarks.study`."""
