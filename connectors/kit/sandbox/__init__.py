"""A sandbox of PingCode and Worktile: their wire formats, their quirks, state that can be changed."""
