"""How we talk to the outside: project-management systems, databases, files, people."""
