package tenants

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/protocol"
)

// record records the history of an execution's newest run, as far as it has come.
func (d *fixture) record(name, workflowID string) {
	d.t.Helper()
	historytest.Record(d.t, temporal, name, workflowID, "")
}

func TestTenant_ContinuesAsNewWhileItIsChanged(t *testing.T) {
	t.Parallel()
	short := historytest.ShortRuns(t, 25, protocol.SearchAttributes)
	w := worker.New(short, protocol.ControlQueue, worker.Options{})
	register(w)
	require.NoError(t, w.Start())
	defer w.Stop()

	const all = 60
	d := New(Config{Temporal: short})
	var group errgroup.Group
	for i := range all {
		group.Go(func() error {
			id := fmt.Sprintf("ep_%d", i)
			_, created, err := d.CreateEndpoint(t.Context(), "acme", endpoint(id))
			if err == nil && !created {
				err = errors.New(id + " was there already")
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	configured, err := d.Tenant(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, configured.Endpoints, all)
	require.Equal(t, int64(all), configured.Version)

	runs := historytest.Runs(t, short, protocol.TenantID("acme"))
	require.Greater(t, len(runs), 1)
	historytest.Record(t, short, "tenant/continued-as-new", protocol.TenantID("acme"), runs[0])
}
