"""What members are trained and judged on: sources, corruption, splits, augmentation."""
