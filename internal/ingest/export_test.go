package ingest

// Waiting is how many unnamed events of a tenant wait for the next start.
func (i *Ingester) Waiting(tenant string) int {
	i.batcher.mu.Lock()
	defer i.batcher.mu.Unlock()
	return len(i.batcher.waiting[batchKey{tenant: tenant}])
}

// Idle reports whether no start with unnamed events is on its way.
func (i *Ingester) Idle() bool {
	i.batcher.mu.Lock()
	defer i.batcher.mu.Unlock()
	return len(i.batcher.waiting) == 0
}
