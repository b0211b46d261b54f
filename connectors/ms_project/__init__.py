"""ms_project."""
