"""Makes the members of an ensemble: data, models, the choice of batches, the loop, the run on disk."""
