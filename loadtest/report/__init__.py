"""What a load test found, for a person: table, notes, summary, pictures and page. Measures nothing."""
