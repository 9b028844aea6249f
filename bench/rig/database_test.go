package rig

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDatabase_IsInTheServerThatIsNamed(t *testing.T) {
	t.Parallel()
	url, err := DatabaseURL("postgres://u:secret@127.0.0.1:5432/postgres?sslmode=disable", "other")
	require.NoError(t, err)
	require.Equal(t, "postgres://u:secret@127.0.0.1:5432/other?sslmode=disable", url)

	require.ErrorContains(t, new(Rig).CreateDatabase(t.Context(), ""), "--postgres")
}
