"""The protocol, spoken: where load goes, what is served there, requests and answers as bytes."""
