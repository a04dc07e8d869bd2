"""Real mail and authorization servers for the tests, each started on free loopback ports: see README.md."""
