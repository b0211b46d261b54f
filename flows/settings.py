"""Settings: `huikuan.toml` and the environment, checked; the only reader of both."""
