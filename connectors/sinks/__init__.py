"""Where invoices are made: one module a sink; `registry` finds them and those of other packages.

Every one looks the key of a push up before it creates anything, so that a push whose answer was lost finds its document.
"""
