"""The steps of the night, plain Python; nothing in here knows Prefect."""
