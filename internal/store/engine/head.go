package engine

// HeadOf gives the head of an organization's ledger: the sequence and the id of its last event, its tree, and how many
// suppressions the organization has.
const HeadOf = "SELECT sequence, last_event_id, tree, suppressed FROM ledger_heads WHERE organization_id = $1"

// SelectHead is HeadOf as the store asks for it. PostgreSQL's engine answers it with the row that it locks, where it is
// the first statement of a transaction.
const SelectHead = "/* select_head */ " + HeadOf
