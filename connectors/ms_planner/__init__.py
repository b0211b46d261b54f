"""ms_planner."""
