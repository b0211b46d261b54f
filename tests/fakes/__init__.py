"""Fakes: small real things that tests can look into."""
