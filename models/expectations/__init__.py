"""What Great Expectations checks, built by functions; no context needed to look at them."""
