"""When and in what order: the nightly run and the commands."""
