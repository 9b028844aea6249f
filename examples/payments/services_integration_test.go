//go:build integration

package payments

import (
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServices_OnPostgreSQL(t *testing.T) {
	t.Parallel()
	testServices(t, func(t *testing.T) string {
		t.Helper()
		server := os.Getenv("POSTDATE_TEST_POSTGRES")
		require.NotEmpty(t, server, "run it by scripts/with-postgres")
		admin, err := Open(server)
		require.NoError(t, err)
		defer admin.Close()
		schema := "payments_" + strings.ToLower(rand.Text())
		_, err = admin.ExecContext(t.Context(), `CREATE SCHEMA `+schema)
		require.NoError(t, err)
		source, err := url.Parse(server)
		require.NoError(t, err)
		query := source.Query()
		query.Set("search_path", schema)
		source.RawQuery = query.Encode()
		return source.String()
	})
}
