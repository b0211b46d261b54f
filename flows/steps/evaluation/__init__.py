"""The evaluator: conditions, amounts, due dates and statuses over columns of many terms at once.

One implementation serves the nightly run, `huikuan explain`, the forecast and `huikuan evaluate`:
one contract is a batch of one. `compile` turns contracts into columns once, `batch` joins them,
`run` evaluates a batch for a day. Dates are day numbers (days since 1970-01-01), money 64-bit
minor units; floats do not occur.
"""
