"""What is sent and when: rows, their difficulty, arrivals, and the schedule drawn of them."""
