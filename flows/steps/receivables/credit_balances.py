"""Money that a customer is owed back: more was paid than is left of the invoices after their credit notes."""

from __future__ import annotations

from datetime import date

from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import day_number
from flows.steps.followed import FOLLOWED
from flows.steps.receivables.agreements import said
from models.domain.findings import Finding, Place, Severity

#: Only terms with a credit: without one, no more is booked than is open. A bill is no money before it matures.
_BALANCES = f"""
SELECT c.number, t.code, c.customer, c.currency, p.minor, i.minor - k.minor FROM terms t
JOIN contracts c ON c.id = t.contract_id AND {FOLLOWED}
JOIN (SELECT term_id, SUM(gross) AS minor FROM credits WHERE day <= :d GROUP BY term_id) k ON k.term_id = t.id
JOIN (SELECT term_id, SUM(gross) AS minor FROM invoices WHERE cancelled_day IS NULL AND term_id IN (SELECT term_id FROM credits)
  GROUP BY term_id HAVING COUNT(*) = COUNT(gross)) i ON i.term_id = t.id
JOIN (SELECT term_id, SUM(gross) AS minor FROM receipts WHERE COALESCE(maturity_day, day) <= :d
  AND term_id IN (SELECT term_id FROM credits) GROUP BY term_id) p ON p.term_id = t.id
WHERE p.minor > i.minor - k.minor ORDER BY c.number, t.code
"""


def credit_balances(connection: Connection, as_of: date) -> list[Finding]:
    """One for each term, as long as it lasts."""
    return [
        Finding(
            "CREDIT_BALANCE",
            Severity.WARNING,
            Place(contract=number, term=code),
            {
                "which": f"{number}/{code}",
                "customer": customer,
                "amount": said(int(paid) - int(left), currency),
                "paid": said(int(paid), currency),
                "left": said(int(left), currency),
            },
        )
        for number, code, customer, currency, paid, left in fetch(connection, _BALANCES, {"d": day_number(as_of)})
    ]
