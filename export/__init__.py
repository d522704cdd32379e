"""Turns runs and ONNX files into a model repository: converted, checked, calibrated, published at once."""
