"""Our load test beside MLPerf LoadGen, on the same server."""
