"""The rules of payment terms. Standard library only: no I/O, no clock, no float."""
