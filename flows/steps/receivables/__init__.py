"""From ready to paid, on the store: imports, allocation, ageing, reminders, agreements, guarantees. No Prefect."""
