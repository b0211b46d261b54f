"""Files that people keep: spreadsheets of contracts, documents and sign-offs."""
