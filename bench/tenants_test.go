package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTenants_CountOnlyThoseWhoMetTheCrowd(t *testing.T) {
	t.Parallel()
	due := time.Unix(1_800_000_000, 0)
	many := []*item{
		{due: due, received: due.Add(500 * time.Millisecond)},
		{due: due, received: due.Add(100 * time.Millisecond)},
	}
	require.Equal(t, &crowd{
		CrowdMessages: 2, CrowdDeliveredPerS: 4, CrowdLatenessMS: &quantiles{First: 100, P50: 100, P99: 500, Max: 500},
	}, crowdOf(many))
	others := []*item{{due: due}, {due: due.Add(499 * time.Millisecond)}, {due: due.Add(500 * time.Millisecond)}}
	require.Equal(t, others[:2], dueBefore(others, lastOf(many)))
}

func TestPostdate_ActsForAnotherTenantWithoutChangingItself(t *testing.T) {
	t.Parallel()
	p := &postdate{key: "secret"}
	require.Equal(t, "other", p.as("other").tenant)
	require.Equal(t, "secret", p.as("other").key)
	require.Empty(t, p.tenant)
}
