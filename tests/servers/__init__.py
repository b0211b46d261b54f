"""Real servers for tests: started when installed, else the test is skipped, visibly."""
