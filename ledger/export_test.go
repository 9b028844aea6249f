package ledger

// Waiting is how many events of a tenant wait for a start that has not left yet.
func (l *Ledger) Waiting(tenant string) int {
	l.gathering.mu.Lock()
	defer l.gathering.mu.Unlock()
	return len(l.gathering.waiting[lane{tenant: tenant}])
}

// Idle tells whether nothing is remembered of any tenant.
func (l *Ledger) Idle() bool {
	l.gathering.mu.Lock()
	defer l.gathering.mu.Unlock()
	return len(l.gathering.waiting) == 0
}
