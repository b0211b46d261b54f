"""What `huikuan init` writes."""
