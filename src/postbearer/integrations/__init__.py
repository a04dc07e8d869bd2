"""Other mail libraries, logged in with our tokens or sending by our mailers. Import each module by name."""
