"""From ready to paid: what is asked for, what came, what is owed since when. Values in, values out; warns, never decides law."""
